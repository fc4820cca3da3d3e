"""A report as CSV: a table of each section, with an empty line between them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from umtrace.present.report.cells import raw
from umtrace.present.report.section import Bars, Kind, Lines, Report, Section, Table
from umtrace.present.report.walk import walk


def report_csv(report: Report) -> str:
    """Return the tables, each with a header line; an empty cell is unknown.

    Durations are ns, shares 0 to 1, ``errno`` is as ``EBUSY:7;EINVAL:1``.
    """
    return "\n".join(walk(report.sections, CsvFormat()))


class CsvFormat:
    """One table for each block, of which a section has one."""

    name = "csv"

    def lines(self, block: Lines) -> str:
        """Return a column of sentences."""
        return _written([["line"], *([text] for text in block.texts)])

    def table(self, block: Table) -> str:
        """Return the raw values under the names of their columns; bars are left out."""
        places = [n for n, column in enumerate(block.columns) if column.kind is not Kind.BAR]
        names = [block.columns[n].name for n in places]
        return _written([names, *([row[n] for n in places] for row in block.rows)])

    def bars(self, block: Bars) -> str:
        """Return a row for each bin."""
        names = ["low_ns", "high_ns", "count"]
        return _written([names, *([b.low_ns, b.high_ns, b.count] for b in block.bins)])

    def section(self, _section: Section, parts: list[str]) -> str:
        """Return the table."""
        return "".join(parts)


def _written(rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return a value; several in one cell are parted by a semicolon."""
    return ";".join(str(raw(v)) for v in value) if isinstance(value, tuple) else raw(value)
