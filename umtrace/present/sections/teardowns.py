"""The teardowns of a report: how many, the longest, and what their ends waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from umtrace.present.escaped import with_times
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.teardowns import gp_text, owner_text, path_text
from umtrace.present.units import clock, count, duration, plural
from umtrace.present.waited import behind_text
from umtrace.teardowns import Teardown, behind

_COLUMNS = (
    Column("number", Kind.COUNT, "#"),
    Column("owner", Kind.TEXT),
    Column("duration_ns", Kind.DURATION_NS, "lasted"),
    Column("umounts", Kind.COUNT),
    Column("gp_in_row", Kind.COUNT, "GPs"),
    Column("gp_in_row_ns", Kind.DURATION_NS, "in a row"),
    Column("gp_unknown", Kind.COUNT, "unknown"),
    Column("lock_ns", Kind.DURATION_NS, "lock"),
    Column("saved_ns", Kind.DURATION_NS, "saving"),
)
_IN_CSV = ("owner_kind", "begin", "end", "failed", "retries", "mounts", "shutdown_ns", "exact")
_LINE = 80
#: what `-` means in a column
_DASHES = {
    "gp_in_row_ns": "in a row -: how long these grace periods took is not known",
    "lock_ns": "lock -: waits for the namespace lock are not known",
    "saved_ns": "saving -: which waits one grace period could serve is not known",
}


def section(
    longest: Sequence[tuple[int, Teardown]], total: int, kinds: Mapping[str, int], *, seen: bool
) -> Section:
    """Return the section.

    Parameters
    ----------
    longest : sequence of (number, teardown)
    total : int
    kinds : mapping
        How many there are of each kind of owner.
    seen : bool
        Whether the tier sees who has the namespace lock.
    """
    rows = [{"number": number, **each.numbers()} for number, each in longest]
    return Section(
        name="teardowns",
        title="Teardowns",
        line=_line(longest, total),
        weight=70 if total else 10,
        blocks=[
            Lines([_summed(total, kinds)] if total else []),
            Table(_COLUMNS, [_cells(row) for row in rows], formats=("text", "markdown", "html")),
            Lines([note for name, note in _DASHES.items() if _is_unknown(rows, name)]),
            Lines([text for number, each in longest for text in _told(number, each, seen=seen)]),
            _in_csv(rows),
        ],
        data={
            "teardowns": total,
            "by_kind": dict(kinds),
            "longest": [with_times(row) for row in rows],
        },
    )


def _is_unknown(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(row[name] is None for row in rows)


def _cells(row: Mapping[str, Any]) -> list[Any]:
    named = {**row, "owner": owner_text(row["owner_kind"], row["owner"])}
    return [named[column.name] for column in _COLUMNS]


def _in_csv(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = [*_COLUMNS, *(Column(name, Kind.WORD) for name in _IN_CSV)]
    cells = [[row[column.name] for column in columns] for row in rows]
    return Table(columns, cells, formats=("csv",))


def _summed(total: int, kinds: Mapping[str, int]) -> str:
    most = sorted(kinds.items(), key=lambda item: -item[1])
    owners = ", ".join(f"{count(number)} of a {kind}" for kind, number in most)
    return f"{plural(total, 'teardown')} ({owners}); the longest:"


def _told(number: int, teardown: Teardown, *, seen: bool) -> list[str]:
    numbers = teardown.numbers()
    lines = [
        f"{number}. {clock(teardown.begin)} UTC, {gp_text(numbers)}; {path_text(teardown, most=2)}"
    ]
    waits = [wait for wait in behind(teardown.scene, teardown.mine)[:1] if wait.is_known]
    return lines + [f"   {behind_text(wait, teardown.scene, seen=seen)}" for wait in waits]


def _line(longest: Sequence[tuple[int, Teardown]], total: int) -> str:
    if not total or not longest:
        return "teardowns: none"
    _, first = longest[0]
    owner = owner_text(first.owner.kind, first.owner.name)
    text = f"teardowns: {count(total)}; longest {duration(first.end - first.begin)}, {owner}"
    more = f": {gp_text(first.numbers())}"
    return text + more if len(text + more) <= _LINE else text[:_LINE]
