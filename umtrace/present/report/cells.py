"""A value of a table as people read it, and as programs do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from umtrace.present.names import VERDICTS, phase_name
from umtrace.present.report.section import BLANK, Column, Kind
from umtrace.present.terminal import clean
from umtrace.present.units import NULL, count, duration, percent


def shown(kind: Kind, value: Any) -> str:
    """Return a value for people; `-` is unknown."""
    if kind is Kind.VERDICT:
        return VERDICTS[value]
    if value is None:
        return NULL
    if isinstance(value, str):
        return phase_name(value) if kind is Kind.PHASE and value else clean(value)
    if kind is Kind.COUNT:
        return count(value)
    if kind is Kind.DURATION_NS:
        return duration(value)
    if kind in {Kind.PERCENT, Kind.BAR}:
        return percent(value)
    return clean(str(value))


def raw(value: Any) -> Any:
    """Return a value for CSV: an empty cell is unknown, durations are ns, shares 0 to 1."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean(value) if isinstance(value, str) else value


def stacked(value: Any) -> tuple[Any, ...]:
    """Return the values of a cell, one below the other."""
    return value if isinstance(value, tuple) else (value,)


def flat(columns: Sequence[Column], row: Sequence[Any]) -> list[list[str]]:
    """Return a row for people as one line of cells for each value of its tallest cell."""
    cells = [
        [shown(column.kind, value) for value in stacked(cell)]
        for column, cell in zip(columns, row, strict=True)
    ]
    return [list(line) for line in zip_longest(*cells, fillvalue=BLANK)]
