"""The EBUSY windows of a report: how many of each class, and the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umtrace.model.windows import AFTERWARDS, REFUSED, EbusyWindow
from umtrace.present.ebusy import AFTER, longest_lines, summed
from umtrace.present.held import held_short
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.terminal import clean
from umtrace.present.units import NULL, count
from umtrace.stats.windows import WindowTotals

_COLUMNS = (
    Column("class", Kind.WORD, "EBUSY class"),
    Column("spurious", Kind.VERDICT, "verdict"),
    Column("windows", Kind.COUNT),
    Column("attempts", Kind.COUNT, "calls", roomy=True),
    Column("duration_ns", Kind.DURATION_NS, "time"),
)


def section(
    totals: WindowTotals, longest: Sequence[EbusyWindow], counters: dict[str, Any]
) -> Section:
    """Return the section; ``counters`` are in its JSON, where they were before `walkers`."""
    found = totals.rows()
    rows = [[row[column.name] for column in _COLUMNS] for row in found]
    refused = [row for row in rows if row[0] in REFUSED]
    return Section(
        name="ebusy",
        title="EBUSY windows",
        line=_line(totals, longest),
        weight=89 if totals.n_refused else 85,
        blocks=[
            Lines(_lines(totals, longest) if found else [], ("text",)),
            Table(_COLUMNS, refused, formats=("markdown", "html")),
            Lines(_afterwards(totals), ("markdown", "html")),
            Table(_COLUMNS, rows, formats=("csv",)),
        ],
        data={"windows": found, "counters": counters},
    )


def _lines(totals: WindowTotals, longest: Sequence[EbusyWindow]) -> list[str]:
    rest = len(totals) - len(longest)
    more = [f"  and {count(rest)} more: `umtrace ebusy DIR` lists them"] if rest > 0 else []
    refused = [f"EBUSY in {summed(totals, of=REFUSED)}"] if totals.n_refused else []
    return [*refused, *_afterwards(totals), *longest_lines(longest), *more]


def _afterwards(totals: WindowTotals) -> list[str]:
    """Return what was found after umounts that succeeded, which is no EBUSY; empty for none."""
    if len(totals) == totals.n_refused:
        return []
    return [f"{AFTER} {summed(totals, of=AFTERWARDS)}"]


def _line(totals: WindowTotals, longest: Sequence[EbusyWindow]) -> str:
    if not len(totals):
        return "EBUSY: no window"
    refused = summed(totals, classes=False, of=REFUSED)
    parts = ["no window" if refused.startswith("0 ") else refused]
    ended = [each for each in longest if each.hold[1] is not None and each.klass in REFUSED]
    parts += [
        f"longest {held_short(each.hold)}, {each.klass}, {each.path or each.dev or NULL}"
        for each in ended[:1]
    ]
    return clean(f"EBUSY: {'; '.join(parts)}")
