"""The pictures of `umtrace plot`: whole figures, and files of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from umtrace.analysis.plots import plot_cdf, plot_hist, plot_phases
from umtrace.analysis.style import figure_with, new_column
from umtrace.records.errors import UsageError
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, Summary

KINDS = ("hist", "cdf", "phases")
SUFFIXES = (".png", ".svg", ".pdf")
_DPI = 150
_DRAW = {"hist": plot_hist, "cdf": plot_cdf}


def figure_of(kind: str, summary: Summary, source: str) -> Figure:
    """Return one of the `KINDS`, drawn from a summary of latency and all phases.

    The largest four groups are drawn. ``source`` names the recording in the picture.
    """
    groups = {_label(group): group for group in summary.groups[:4]}
    with rc_context({"hatch.linewidth": 0.7, "font.family": "DejaVu Sans"}):
        figure = _phases(groups) if kind == "phases" else _distributions(kind, groups)
        figure.suptitle(source, fontsize="small", color="0.4", x=0.99, ha="right")
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the file's suffix; the same figure, the same bytes.

    Raises
    ------
    UsageError
        The suffix is not one of `SUFFIXES`.
    OSError
        The file cannot be written.
    """
    suffix = check_suffix(path)
    # Else an SVG has a random salt in its ids, and SVG and PDF the time of day.
    metadata: dict[str, str | None] = {} if suffix == ".png" else {_DATE[suffix]: None}
    with rc_context({"svg.hashsalt": "umtrace", "hatch.linewidth": 0.7}):
        figure.savefig(path, dpi=_DPI, metadata=metadata)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a picture's file name, in lower case; errors as `save`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: a picture ends in {', '.join(SUFFIXES)}")
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(Path(path).parent))
    return suffix


_DATE = {".svg": "Date", ".pdf": "CreationDate"}


def _phases(groups: Mapping[str, GroupSummary]) -> Figure:
    return figure_with(plot_phases(groups))


def _distributions(kind: str, groups: Mapping[str, GroupSummary]) -> Figure:
    upper, lower = new_column(2, height=6.5)
    draw = _DRAW[kind]
    draw(_histograms(groups, LATENCY), what="latency", ax=upper)
    draw(_histograms(groups, RCU), what="RCU wait", ax=lower)
    if lower.lines or lower.patches:
        upper.set_xlabel("")  # the lower one's says it for both
    else:
        upper.tick_params(labelbottom=True)
    return figure_with(upper)


def _histograms(groups: Mapping[str, GroupSummary], metric: str) -> dict[str, Histogram]:
    return {label: group.metric(metric).occurred for label, group in groups.items()}


def _label(group: GroupSummary) -> str:
    return ", ".join("unknown" if part is None else str(part) for part in group.key) or "all"
