"""A fleet's report in each format."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from umtrace.fleet.report import FleetReport
from umtrace.present.escaped import to_json
from umtrace.present.report.as_csv import CsvFormat
from umtrace.present.report.as_markdown import MarkdownFormat
from umtrace.present.report.as_text import TextFormat
from umtrace.present.report.section import Lines
from umtrace.present.report.walk import walk
from umtrace.present.terminal import WIDTH, clean, render


def written(report: FleetReport, style: str, width: int = WIDTH) -> str:
    """Return the report as ``table``, ``json``, ``csv`` or ``markdown``, ending in a newline."""
    if style == "json":
        return to_json(report.to_dict())
    if style == "csv":
        return "\n".join(walk(report.sections(), CsvFormat()))
    if style == "markdown":
        form = MarkdownFormat()
        lines = ["# Fleet", "", *form.lines(Lines(report.head()))]
        for found in walk(report.sections(), form):
            lines += ["", *found] if found else []
        return "\n".join(lines) + "\n"
    parts: list[RenderableType] = [Text(clean(line)) for line in report.head()]
    for section in walk(report.sections(), TextFormat(width)):
        parts += ["", *section] if section else []
    return render(parts, width)
