"""The insights of a report: at most five lines, the heaviest first."""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.present.insights import Insight
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.units import plural

_COLUMNS = (
    Column("insight", Kind.WORD),
    Column("text"),
    Column("weight_ns", Kind.DURATION_NS),
    Column("rows"),
    Column("n_rows", Kind.COUNT),
)
_LINE = 80


def section(found: Sequence[Insight]) -> Section:
    """Return the section; without an insight it has nothing to read."""
    rows = [[i.name, i.text, i.weight_ns, " ".join(map(str, i.rows)), i.n_rows] for i in found]
    return Section(
        name="insights",
        title="Insights",
        line=_line(found),
        weight=90 if found else 10,
        blocks=[
            Lines([f"{n}. {each.whole}." for n, each in enumerate(found, 1)]),
            Table(_COLUMNS, rows, formats=("csv",)),
        ],
        data=[
            {
                "insight": each.name,
                "text": each.text,
                "weight_ns": each.weight_ns,
                "rows": list(each.rows),
                "n_rows": each.n_rows,
            }
            for each in found
        ],
    )


def _line(found: Sequence[Insight]) -> str:
    if not found:
        return "insights: none"
    text = f"insight: {found[0].short}"
    more = f" (and {plural(len(found) - 1, 'insight')} more)" if len(found) > 1 else ""
    room = _LINE - len(more)
    return (text if len(text) <= room else f"{text[: room - 1]}…") + more
