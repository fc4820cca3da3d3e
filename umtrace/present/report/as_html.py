"""The sections of a report for the HTML page: what its template writes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umtrace.model.umounts import PHASES
from umtrace.present.bars import span_text
from umtrace.present.report.cells import flat, raw, stacked
from umtrace.present.report.section import Bars, Column, Kind, Lines, Report, Section, Table
from umtrace.present.report.walk import walk
from umtrace.present.units import count, percent

View = dict[str, Any]


def report_views(report: Report) -> list[View]:
    """Return each section as ``name``, ``title`` and ``blocks``, which templates/blocks.html reads.

    All of it is text that is still to be escaped, but for widths and classes.
    """
    return walk(report.sections, HtmlFormat())


class HtmlFormat:
    """Paragraphs, tables, and bars that are folded up."""

    name = "html"

    def lines(self, block: Lines) -> View:
        """Return the sentences."""
        return {"kind": "lines", "title": "", "texts": list(block.texts)}

    def table(self, block: Table) -> View:
        """Return the columns, and cells of ``text``, ``value``, ``style``, ``bar`` and ``key``."""
        styles = [_style(column, place) for place, column in enumerate(block.columns)]
        heads = [
            (column.heading.replace("\n", " "), style)
            for column, style in zip(block.columns, styles, strict=True)
        ]
        rows = [line for row in block.rows for line in _rows(block.columns, styles, row)]
        return {
            "kind": "table",
            "title": block.title,
            "heads": heads,
            "rows": rows,
            "sortable": 1 < len(rows) == len(block.rows),  # a row is one line
        }

    def bars(self, block: Bars) -> View:
        """Return the bins: edges, count, share, and the width of the bar in percent."""
        fullest = max((each.count for each in block.bins), default=0)
        whole = sum(each.count for each in block.bins)
        bins = [
            (
                span_text(each),
                count(each.count),
                percent(each.count / whole),
                round(100 * each.count / fullest, 1),
            )
            for each in block.bins
        ]
        return {"kind": "bars", "title": block.title, "bins": bins}

    def section(self, section: Section, parts: list[View]) -> View:
        """Return the section; ``is_empty`` where no block has anything."""
        full = [part for part in parts if any(part.get(k) for k in ("texts", "rows", "title"))]
        return {"name": section.name, "title": section.title, "blocks": full}


def _rows(columns: Sequence[Column], styles: Sequence[str], row: Sequence[Any]) -> list[list[View]]:
    """Return the lines of a row, whose first cell heads them."""
    phase = next(
        (v for c, v in zip(columns, row, strict=True) if c.kind is Kind.PHASE and v in PHASES), ""
    )
    return [
        [
            {
                "text": text,
                "value": raw(stacked(value)[0]),
                "style": style,
                "bar": _width(value, at) if column.kind is Kind.BAR else None,
                "key": phase if column.kind is Kind.PHASE or column.kind is Kind.BAR else "",
            }
            for column, style, value, text in zip(columns, styles, row, line, strict=True)
        ]
        for at, line in enumerate(flat(columns, row))
    ]


def _width(value: Any, at: int) -> float:
    parts = stacked(value)
    share = parts[at] if at < len(parts) else None
    return round(100 * min(max(share or 0.0, 0.0), 1.0), 1)


def _style(column: Column, place: int) -> str:
    left = "left" if place and not column.is_right else ""
    return " ".join(filter(None, (left, "roomy" if column.roomy else "")))
