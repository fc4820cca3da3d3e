"""The path walks at dying mounts: the cases for which umount waits for RCU."""

from __future__ import annotations

from umtrace.present.ebusy import UNSEEN_WALKS, Counters, counter_lines, unseen_use, walks_unseen
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.units import count

_WORDS = {
    "umounts": "successful umounts",
    "discounted": "path walks that backed off",
    "must_put": "path walks that had to drop a reference",
    "met": "umounts with a path walk at the dying mount",
    "puts_known": "sync umounts with a known last put",
    "stolen": "last references of sync umounts dropped by others",
    "held_known": "umounts of which the holders were counted",
    "held": "umounts with a mount that somebody else held",
}


def section(counters: Counters, n_rows: int) -> Section:
    """Return the section; of no rows it has nothing to read."""
    numbers = counters.to_dict()
    known = {name: number for name, number in numbers.items() if number is not None}
    read = [[_WORDS.get(name, name), number] for name, number in known.items() if n_rows]
    unseen = [*unseen_use(counters)]
    if walks_unseen(counters):
        unseen.append(f"Path walks at a dying mount: {UNSEEN_WALKS}")
    return Section(
        name="walkers",
        title="Walkers",
        line=_line(counters),
        weight=50,
        blocks=[
            Lines(list(counter_lines(counters)) if n_rows else [], ("text",)),
            Lines(unseen if n_rows else [], ("markdown", "html")),
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
    backed_off = f"{count(counters.discounted)} backed off"
    parts = ["not seen in this tier" if walks_unseen(counters) else backed_off]
    if counters.puts_known:
        stolen = f"{count(counters.stolen)} of {count(counters.puts_known)} last references"
        parts.append(f"{stolen} dropped by others")
    return f"walkers: {'; '.join(parts)}"
