"""The pictures of `umtrace plot`: whole figures, and files of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from umtrace.analysis.frames import ebusy_frame
from umtrace.analysis.heatmap import plot_heatmap
from umtrace.analysis.modes import plot_modes
from umtrace.analysis.mounts import COLUMNS as MOUNT_COLUMNS
from umtrace.analysis.mounts import RcuByMounts, plot_rcu_by_mounts
from umtrace.analysis.plots import EDGES, plot_cdf, plot_hist, plot_phases
from umtrace.analysis.style import (
    figure_with,
    new_column,
    only_printable,
    pinned_style,
    printable,
    umounts,
)
from umtrace.analysis.timeline import MOST_DRAWN, plot_in_flight, plot_umounts
from umtrace.analysis.whatif_plot import plot_simulated
from umtrace.analysis.windows import COUNTED, DRAWN, MOST_BARS, plot_ebusy
from umtrace.model.errors import UsageError
from umtrace.model.umounts import WORDS
from umtrace.model.whole_file import written_whole
from umtrace.query.selection import Selection
from umtrace.query.whatif import Assumptions, simulated
from umtrace.stats.columns import START
from umtrace.stats.histogram import Histogram
from umtrace.stats.overtime import even_edges, heat, in_flight
from umtrace.stats.placement import COLUMNS as PLACED_COLUMNS
from umtrace.stats.summarize import DEFAULT_METRICS, LATENCY, METRICS, RCU, errno_name
from umtrace.stats.summary import GroupSummary

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 150
_TIME_BINS = 160
_CELLS_PER_UMOUNT = 8
_GROUPS = 4
_ID_CHARS = 12
_MOST_CHARS = 24  # of a name in a label: longer ones leave no room for the data


def figure_of(
    kind: str,
    selection: Selection,
    *,
    by: Sequence[str] = ("mode",),
    source: str = "",
    size: tuple[float, float] | None = None,
    assume: Assumptions | None = None,
) -> Figure:
    """Return one of the `KINDS`, drawn from rows that are read once or twice.

    They are held for ``whatif`` alone, which takes ``assume``. The largest four groups are drawn.
    ``source`` names the recording in the picture, ``size`` is its width and height in inches.
    """
    draw = partial(draw_whatif, assume=assume) if kind == "whatif" else DRAW[kind]
    with pinned_style():
        figure = figure_with(draw(selection, by, None))
        if size is not None:
            figure.set_size_inches(size)
        if source:
            figure.suptitle(source, fontsize="small", color="0.4", x=0.99, ha="right")
    return figure


def draw_hist(
    selection: Selection, by: Sequence[str], ax: Axes | None = None, column: str | None = None
) -> Axes:
    """Draw latency above RCU wait, as histograms."""
    return _distributions(plot_hist, selection, by, ax, column)


def draw_cdf(
    selection: Selection, by: Sequence[str], ax: Axes | None = None, column: str | None = None
) -> Axes:
    """Draw latency above RCU wait, as cumulative shares."""
    return _distributions(plot_cdf, selection, by, ax, column)


def draw_phases(selection: Selection, by: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw where the mean umount's time goes."""
    groups, left_out = _groups(selection, by)
    return _told(plot_phases(groups, ax=ax), left_out)


def draw_modes(selection: Selection, by: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw median and tail of each phase, the groups side by side."""
    groups, left_out = _groups(selection, by)
    return _told(plot_modes(groups, ax=ax), left_out)


def draw_heatmap(selection: Selection, by: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw latency over time."""
    del by
    rows, begin, end = selection.extent()
    # A single umount in one of many cells is not seen.
    edges = even_edges(begin, end, min(_TIME_BINS, _CELLS_PER_UMOUNT * max(rows, 1)))
    counts = heat(selection.placed((START, LATENCY)), LATENCY, edges, EDGES)
    return _without_begin(plot_heatmap(counts, edges, EDGES, what="latency", ax=ax), selection)


def draw_timeline(selection: Selection, by: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw umounts one by one, or, where there are many, how many at once."""
    del by
    rows, begin, end = selection.extent()
    batches = selection.placed((START, *PLACED_COLUMNS))
    if rows <= MOST_DRAWN:
        return _without_begin(plot_umounts(batches, ax=ax), selection)
    edges = even_edges(begin, end, _TIME_BINS)
    return _without_begin(plot_in_flight(in_flight(batches, edges), edges, rows, ax=ax), selection)


def draw_mounts(selection: Selection, by: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw the RCU wait against the mounts taken down."""
    del by
    return plot_rcu_by_mounts(RcuByMounts.of(selection.batches(MOUNT_COLUMNS)), ax=ax)


def draw_ebusy(selection: Selection, by: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw the EBUSY windows that the selected umounts began."""
    del by
    return plot_ebusy(ebusy_frame(selection, DRAWN, many=(MOST_BARS, COUNTED)), ax=ax)


def draw_whatif(
    selection: Selection,
    by: Sequence[str] = (),
    ax: Axes | None = None,
    assume: Assumptions | None = None,
) -> Axes:
    """Draw the selected umounts under other designs of the RCU wait."""
    del by
    return plot_simulated(simulated(selection, assume=assume), ax=ax)


DRAW: dict[str, Callable[[Selection, Sequence[str], Axes | None], Axes]] = {
    "hist": draw_hist,
    "cdf": draw_cdf,
    "phases": draw_phases,
    "modes": draw_modes,
    "heatmap": draw_heatmap,
    "timeline": draw_timeline,
    "mounts": draw_mounts,
    "ebusy": draw_ebusy,
    "whatif": draw_whatif,
}
KINDS = tuple(DRAW)


def save(
    figure: Figure, path: str | os.PathLike[str], *, force: bool = True, dpi: int = DPI
) -> None:
    """Write a figure in the format of the file's suffix; the same figure, the same bytes.

    ``dpi`` is of a PNG, and of what is drawn as an image in the other formats.

    Raises
    ------
    UsageError
        The suffix is not one of `SUFFIXES`, or the file is there and ``force`` is false.
    OSError
        The file cannot be written.
    """
    suffix = check_suffix(path)
    # Else an SVG has a random salt in its ids, and SVG and PDF the time of day.
    only_printable(figure)
    metadata: dict[str, str | None] = {} if suffix == ".png" else {_DATE[suffix]: None}
    with (
        pinned_style(),
        rc_context({"svg.hashsalt": "umtrace"}),
        written_whole(Path(path), force=force) as file,
    ):
        figure.savefig(file, format=suffix[1:], dpi=dpi, metadata=metadata)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a picture's file name, in lower case; errors as `save`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: a picture ends in {', '.join(SUFFIXES)}")
    return suffix


_DATE = {".svg": "Date", ".pdf": "CreationDate"}


def _groups(
    selection: Selection, by: Sequence[str], metrics: Sequence[str] = DEFAULT_METRICS
) -> tuple[dict[str, GroupSummary], str]:
    """Return the groups that are drawn, by label, and which are not, in words."""
    groups = selection.summary(by, metrics).groups
    drawn: dict[str, GroupSummary] = {}
    for group in groups[:_GROUPS]:
        label = _label(by, group)
        drawn[label if label not in drawn else f"{label} ({len(drawn) + 1})"] = group
    rest = groups[_GROUPS:]
    if not rest:
        return drawn, ""
    more = f"{len(rest):,} more group{'' if len(rest) == 1 else 's'}"
    return drawn, f"({more} of {umounts(sum(group.n_timed for group in rest))} not drawn)"


def _without_begin(axes: Axes, selection: Selection) -> Axes:
    """Say below the axes how many rows have no place in time."""
    number = selection.unplaced()
    if number:
        rest = f"({umounts(number)} without a known begin not drawn)"
        axes.set_xlabel(f"{axes.get_xlabel()}\n{rest}".strip())
    return axes


def _told(axes: Axes, left_out: str) -> Axes:
    """Say below the axes which groups are not drawn."""
    if left_out:
        axes.set_xlabel(f"{axes.get_xlabel()}\n{left_out}")
    return axes


def _distributions(
    draw: Callable[..., Axes],
    selection: Selection,
    by: Sequence[str],
    ax: Axes | None,
    column: str | None,
) -> Axes:
    """Draw latency above RCU wait; one column alone into axes that are given."""
    if ax is not None or column is not None:
        return _one(draw, selection, by, ax, column or LATENCY)
    groups, left_out = _groups(selection, by, (LATENCY, RCU))
    upper, lower = new_column(2, height=6.5)
    population = sum(groups.values(), GroupSummary()).population
    draw(_histograms(groups, LATENCY), what="latency", population=population, ax=upper)
    draw(_histograms(groups, RCU), what="RCU wait", population=population, ax=lower)
    if lower.lines or lower.patches:
        upper.set_xlabel("")  # the lower one's says it for both
        _told(lower, left_out)
    elif upper.lines or upper.patches:
        upper.tick_params(labelbottom=True)
        _told(upper, left_out)
    return upper


def _one(
    draw: Callable[..., Axes],
    selection: Selection,
    by: Sequence[str],
    ax: Axes | None,
    column: str,
) -> Axes:
    if column not in METRICS:
        raise UsageError(f"no duration {column!r:.40}; there are: {', '.join(METRICS)}")
    groups, left_out = _groups(selection, by, (column,))
    population = sum(groups.values(), GroupSummary()).population
    what = WORDS.get(column, "latency")
    return _told(
        draw(_histograms(groups, column), what=what, population=population, ax=ax), left_out
    )


def _histograms(groups: Mapping[str, GroupSummary], metric: str) -> dict[str, Histogram]:
    return {label: group.metric(metric).occurred for label, group in groups.items()}


def _label(by: Sequence[str], group: GroupSummary) -> str:
    parts = zip(by, group.key, strict=True)
    # A bare "-" would not say of what.
    texts = [f"{name} -" if part is None else _part(name, part) for name, part in parts]
    return ", ".join(texts) or "all"


def _part(name: str, value: str | int) -> str:
    if name == "errno":
        return errno_name(int(value)) if value else "ok"
    # A container id is told apart by its first twelve digits, as docker and podman do.
    text = str(value)[:_ID_CHARS] if name == "container" else str(value)
    return printable(text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…")
