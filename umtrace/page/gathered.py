"""A recording as one HTML page: gathers what `html` shows and `analysis` draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.analysis.figures import figure_of
from umtrace.analysis.style import figure_with, pinned_style
from umtrace.analysis.svg import DPI, svg_of
from umtrace.analysis.whatif_plot import plot_simulated
from umtrace.page.html import Page, Picture, page_html
from umtrace.present.heading import heading_of
from umtrace.present.report.section import Section
from umtrace.present.whatif_section import section, too_many
from umtrace.query.selection import Selection
from umtrace.query.whatif import simulated
from umtrace.query.worst import worst
from umtrace.report_contents import gather, report_of
from umtrace.stats.columns import plain_rows

_WORST = 15
_WINDOWS = 40
_MOST_SIMULATED = 100_000  #: some 130 MB, and a few seconds
_PICTURES = {
    "phases": (
        "Where the time of a mean umount goes",
        "A phase that this tier cannot see is in “other”.",
    ),
    "cdf": ("How long umount takes", "Below each line: that share of the umounts was faster."),
    "modes": ("Median and tail of each phase", "Mark: median; line: to the 99th percentile."),
    "heatmap": ("Latency over time", "Darker: more umounts."),
    "timeline": (
        "Umounts side by side",
        "Durations are measured; where a phase lies within its umount is by order.",
    ),
    "mounts": (
        "RCU wait by mounts taken down",
        "One wait serves all the mounts that go with one umount.",
    ),
    "ebusy": (
        "EBUSY windows",
        "From the first EBUSY until it was over, or the last call if the end was not seen.",
    ),
}


def page_of(
    selection: Selection,
    by: Sequence[str] = ("mode",),
    *,
    size: tuple[float, float] | None = None,
    dpi: int | None = None,
) -> str:
    """Return the page about some rows of a recording; ``size`` and ``dpi`` are of the pictures."""
    recording = selection.recording
    unknown = selection.unknown()
    found = gather(selection, by, n_longest=_WINDOWS, columns=None)
    with_windows = len(found.windows) > 0
    drawn = dict(_svgs(selection, by, with_windows=with_windows, size=size, dpi=dpi or DPI))
    pictures = [
        Picture(kind=kind, title=title, caption=caption, svg=drawn[kind])
        for kind, (title, caption) in _PICTURES.items()
        if kind in drawn
    ]
    longest = worst(selection, _WORST)
    heading = heading_of(recording, selection.row_filter.describe(), unknown)
    simulated_section, picture = _whatif(selection, size=size, dpi=dpi or DPI)
    page = Page(
        report=report_of(found, heading),
        total=found.summary.total,
        pictures=pictures,
        worst=longest,
        windows=list(plain_rows([found.longest])),
        n_windows=len(found.windows),
        plan=[line.to_dict() for line in recording.meta.plan],
        command=recording.meta.command,
        version=recording.meta.umtrace,
        counters=recording.losses.to_dict(),
        more=[simulated_section],
        whatif_svg=picture,
    )
    return page_html(page)


def _svgs(
    selection: Selection,
    by: Sequence[str],
    *,
    with_windows: bool,
    size: tuple[float, float] | None,
    dpi: int,
) -> Iterator[tuple[str, str]]:
    for kind in _PICTURES:
        if kind == "ebusy" and not with_windows:
            continue
        figure = figure_of(kind, selection, by=by)
        if any(axes.has_data() for axes in figure.axes):
            yield kind, svg_of(figure, kind, size=size, dpi=dpi)


def _whatif(
    selection: Selection, *, size: tuple[float, float] | None, dpi: int
) -> tuple[Section, str]:
    """Return the section on other designs, and its picture; the rows of it are in memory."""
    rows, _, _ = selection.extent()
    if rows > _MOST_SIMULATED:
        return too_many(rows, _MOST_SIMULATED), ""
    found = simulated(selection)
    with pinned_style():
        figure = figure_with(plot_simulated(found, notes=False))
    if not any(axes.has_data() for axes in figure.axes):
        return section(found), ""
    return section(found), svg_of(figure, "whatif", size=size, dpi=dpi)
