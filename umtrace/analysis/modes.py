"""Groups side by side, phase by phase: what MNT_DETACH saves, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from umtrace.analysis.style import (
    NS_PER_S,
    SERIES,
    Look,
    log_duration_axis,
    mark_median,
    new_axes,
    say_empty,
    tidy,
    timed,
    umounts,
)
from umtrace.model.umounts import PHASES, WORDS
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import LATENCY
from umtrace.stats.summary import GroupSummary

_ROWS = (LATENCY, *PHASES)
_TITLE_CHARS = 32
_SPREAD = 0.5  # of the room of a row


def plot_modes(groups: Mapping[str, GroupSummary], *, ax: Axes | None = None) -> Axes:
    """Draw median and 99th percentile of each phase, the groups below one another.

    Parameters
    ----------
    groups : mapping of str to GroupSummary
        By label, with latency and all phases: sync and lazy, as a rule.

    Notes
    -----
    The mark is the median with its 95 % confidence interval as a thick line; the thin
    line reaches to the 99th percentile. They are of the umounts in which the phase took
    any time.
    """
    axes = new_axes(height=5.0) if ax is None else ax
    n = sum(group.count for group in groups.values())
    axes.set_title(f"{_versus(groups)} ({timed(groups.values())})", loc="left")
    rows = [m for m in _ROWS if any(g.metric(m).occurred.count for g in groups.values())]
    if not rows:
        say_empty(axes, "No umount with known phases." if n else "No umount was recorded.")
        return axes
    looks = [SERIES[place % len(SERIES)] for place in range(len(groups))]
    for place, (label, group) in enumerate(groups.items()):
        shift = _SPREAD * ((place + 0.5) / len(groups) - 0.5)
        _series(axes, rows, group, looks[place], shift, label)
    axes.set_yticks(range(len(rows)), [_words(name) for name in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    log_duration_axis(axes)
    tidy(axes)
    axes.set_xlabel("duration: median with its 95 % interval, line to the 99th percentile")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return axes


def _series(
    axes: Axes,
    rows: Sequence[str],
    group: GroupSummary,
    look: Look,
    shift: float,
    label: str,
) -> None:
    named = f"{label}: {umounts(group.n_timed)}"
    for row, name in enumerate(rows):
        histogram = group.metric(name).occurred
        if not histogram.count:
            continue
        median, low, high, p99 = _numbers(histogram)
        y = row + shift
        axes.plot([median, p99], [y, y], color=look.color, linewidth=1.2, linestyle=look.line)
        axes.plot([low, high], [y, y], color=look.color, linewidth=5, alpha=0.5)
        mark_median(axes, (median, y), look, named)
        named = "_"  # once in the legend


def _numbers(histogram: Histogram) -> tuple[float, float, float, float]:
    low, high = histogram.quantile_interval(0.5)
    median, p99 = histogram.quantile(0.5) or 0, histogram.quantile(0.99) or 0
    ends = (median, low or histogram.min or 0, high or histogram.max or 0, p99)
    return ends[0] / NS_PER_S, ends[1] / NS_PER_S, ends[2] / NS_PER_S, ends[3] / NS_PER_S


def _versus(groups: Mapping[str, GroupSummary]) -> str:
    names = (" against " if len(groups) == 2 else ", ").join(groups)  # noqa: PLR2004
    if len(names) > _TITLE_CHARS:
        return f"Phases of {len(groups)} groups"
    return names if len(groups) == 2 else f"Phases: {names}" if groups else "Phases"  # noqa: PLR2004


def _words(name: str) -> str:
    return WORDS.get(name, "latency")
