"""A fleet as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator

from umtrace.analysis.style import figure_with, pinned_style
from umtrace.analysis.svg import svg_of
from umtrace.fleet.figures import DRAW
from umtrace.fleet.report import FleetReport
from umtrace.page.html import Picture, fleet_html
from umtrace.present.report.as_html import HtmlFormat
from umtrace.present.report.walk import walk

_PICTURES = {
    "hosts": ("Each host", "Line: from the median to the 99th percentile, at the mark."),
    "cdf": ("How long umount takes", "Below each line: that share of the umounts was faster."),
    "phases": (
        "Where the time of a mean umount goes",
        "A phase that a tier cannot see is in “other”.",
    ),
}


def fleet_page(report: FleetReport) -> str:
    """Return the page about a fleet."""
    sections = walk(report.sections(), HtmlFormat())
    return fleet_html(report.head(), sections, list(_pictures(report)))


def _pictures(report: FleetReport) -> Iterator[Picture]:
    for kind, (title, caption) in _PICTURES.items():
        with pinned_style():
            axes = DRAW[kind](report)
        if axes.has_data():
            yield Picture(
                kind=kind, title=title, caption=caption, svg=svg_of(figure_with(axes), kind)
            )
