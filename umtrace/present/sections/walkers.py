"""The path walks at dying mounts: the cases for which umount waits for RCU."""

from __future__ import annotations

from umtrace.present.ebusy import Counters, counter_lines
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.units import count

_WORDS = {
    "umounts": "successful umounts",
    "discounted": "path walks that backed off",
    "must_put": "path walks that had to drop a reference",
    "met": "umounts with a path walk at the dying mount",
    "puts_known": "sync umounts with a known last put",
    "stolen": "last references of sync umounts dropped by others",
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
    stolen = f"{count(counters.stolen)} of {count(counters.puts_known)} last references"
    return f"walkers: {count(counters.discounted)} backed off; {stolen} dropped by others"
