"""The walkers that met a dying mount: the numbers the argument about RCU is over."""

from __future__ import annotations

from umtrace.present.ebusy import Counters, counter_lines
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.units import count

_WORDS = {
    "umounts": "successful umounts",
    "discounted": "walkers that backed off",
    "must_put": "walkers that had to put a reference themselves",
    "met": "umounts in which a walker met the dying mount",
    "puts_known": "plain umounts whose final put was seen",
    "stolen": "final puts stolen from plain umounts",
}


def section(counters: Counters, n_rows: int) -> Section:
    """Return the section; of no rows it has nothing to read."""
    numbers = counters.to_dict()
    read = [[_WORDS.get(name, name), number] for name, number in numbers.items() if n_rows]
    return Section(
        name="walkers",
        title="Walkers",
        line=_line(counters),
        weight=50,
        blocks=[
            Lines(list(counter_lines(counters)) if n_rows else [], ("text",)),
            Table(
                [Column("walkers"), Column("number", Kind.COUNT)],
                read,
                formats=("markdown", "html"),
            ),
            Table(
                [Column(name, Kind.COUNT) for name in numbers],
                [list(numbers.values())],
                formats=("csv",),
            ),
        ],
        data=numbers,
    )


def _line(counters: Counters) -> str:
    return (
        f"walkers: {count(counters.discounted)} backed off a dying mount; "
        f"{count(counters.stolen)} of {count(counters.puts_known)} final puts stolen"
    )
