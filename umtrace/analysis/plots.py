"""Plots of distributions and phases; each takes data and returns axes, none shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from umtrace.analysis.style import (
    NS_PER_S,
    PHASES,
    SERIES,
    Look,
    capitalized,
    duration_axis,
    log_duration_axis,
    new_axes,
    say_empty,
    seconds,
    tidy,
    timed,
    umounts,
)
from umtrace.model.umounts import WORDS
from umtrace.stats.buckets import Int64
from umtrace.stats.histogram import Histogram
from umtrace.stats.summary import GroupSummary, MetricSummary

_PER_DECADE = 10
_DECADES = np.logspace(0, 18, 18 * _PER_DECADE + 1).round().astype(np.int64)
#: bin edges in ns, ten per decade, 1 ns to some 30 years; the last bin ends with int64
EDGES = np.append(np.unique(_DECADES), np.iinfo(np.int64).max)
_MOST_FILLED = 2  #: more histograms over one another are outlines
_LEAST_SEEN = 0.008  #: of the highest bar: a lower one is no higher than the axis is thick
_MARKS_AT, _MARKS_APART = 0.025, 0.04  #: of the height of the axes
_LABELLED_SHARE = 0.08
_LABELLED_WIDTH = 0.12  # of the longest bar: the text fits
_MOST_NAMED = 2  #: phases beside a sliver
_ROOM = 1.14  # for the number behind the longest bar
_QUANTILES = (0.5, 0.9, 0.99)


def plot_hist(
    series: Mapping[str, Histogram], *, what: str, population: str = "", ax: Axes | None = None
) -> Axes:
    """Draw histograms over one another, counts on a logarithmic axis of time.

    A bar too low to be seen has a mark above the axis instead.

    Parameters
    ----------
    series : mapping of str to Histogram
        By label; of ns. Zeros have no place on the axis: give histograms without.
    what : str
        What was measured, for the title.
    population : str
        Which of the umounts these are, to follow their number in the title.
    ax : Axes, optional
        Where to draw; a new figure's by default.
    """
    axes = new_axes() if ax is None else ax
    n = _titled(axes, series, what, population)
    if not n:
        return axes
    edges, bins = EDGES[_used(series)] / NS_PER_S, _bins(series)
    for look, (label, counts) in zip(_looks(len(series)), bins.items(), strict=True):
        if counts.any():
            shown = _label(label, series[label])
            _stairs(axes, counts, edges, look, shown, fill=len(series) <= _MOST_FILLED)
    _mark_low_bars(axes, bins.values(), edges)
    _finish(axes, "umounts")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return axes


def plot_cdf(
    series: Mapping[str, Histogram], *, what: str, population: str = "", ax: Axes | None = None
) -> Axes:
    """Draw which part of the umounts took at most so long; parameters as `plot_hist`."""
    axes = new_axes() if ax is None else ax
    n = _titled(axes, series, what, population)
    if not n:
        return axes
    for look, (label, histogram) in zip(_looks(len(series)), series.items(), strict=True):
        if histogram.count:
            x, y = _cdf_points(histogram)
            axes.plot(
                x,
                y,
                drawstyle="steps-post",
                color=look.color,
                linestyle=look.line,
                linewidth=2,
                label=_label(label, histogram),
            )
    for q in _QUANTILES:
        axes.axhline(100 * q, color="0.6", linewidth=0.8, linestyle=(0, (1, 3)))
    _finish(axes, "share of umounts, %")
    axes.set_ylim(0, 102)
    axes.set_yticks([0, 25, 50, 75, 90, 99], ["0", "25", "50", "75", "90", "99"])
    return axes


def plot_phases(groups: Mapping[str, GroupSummary], *, ax: Axes | None = None) -> Axes:
    """Draw where the time of a mean umount goes: one stacked bar per group.

    Parameters
    ----------
    groups : mapping of str to GroupSummary
        By label, with all phases. A phase that the tier cannot see is named, not drawn.
    """
    axes = new_axes(height=1.9 + 0.75 * max(len(groups), 1)) if ax is None else ax
    n = sum(group.count for group in groups.values())
    axes.set_title(f"Mean time by phase ({timed(groups.values())})", loc="left")
    known = {name for name in PHASES for group in groups.values() if _is_drawn(group, name)}
    if not known:
        say_empty(axes, "No umount with known phases." if n else "No umount was recorded.")
        return axes
    longest = max(map(_mean_total, groups.values()))
    for row, group in enumerate(groups.values()):
        _stack(axes, row, group, longest)
    labels = [f"{label}\n{umounts(group.n_timed)}" for label, group in groups.items()]
    axes.set_yticks(range(len(groups)), labels)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    duration_axis(axes.xaxis)
    axes.set_xlim(0, longest * _ROOM)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    drawn = {bar.get_gid(): bar for bar in reversed(axes.patches)}
    idle = known - drawn.keys()
    axes.set_xlabel("mean time per umount" + _named("not seen", set(PHASES) - known)
                    + _named("took no time", idle))  # fmt: skip
    keys = [drawn[name] for name in PHASES if name in drawn]
    axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)
    return axes


def _mean_total(group: GroupSummary) -> float:
    known = (name for name in PHASES if _is_drawn(group, name))
    return sum(group.metric(name).histogram.mean or 0.0 for name in known) / NS_PER_S


def _is_drawn(group: GroupSummary, name: str) -> bool:
    """Whether the mean is of the same umounts as the rest of the bar, with which it adds up."""
    return group.metric(name).histogram.count > 0 and not group.is_partly_known(name)


def _stack(axes: Axes, row: int, group: GroupSummary, longest: float) -> None:
    left = 0.0
    for name, look in PHASES.items():
        metric = group.metric(name)
        mean = (metric.histogram.mean or 0.0) / NS_PER_S if _is_drawn(group, name) else 0.0
        if not mean:
            continue
        bars = axes.barh(
            row,
            mean,
            left=left,
            height=0.6,
            color=look.color,
            hatch=look.hatch,
            edgecolor="black",
            linewidth=0.6,
            gid=name,
        )
        bars[0].set_label(WORDS[name])
        if mean >= _LABELLED_WIDTH * longest:
            _label_bar(axes, bars[0].get_x() + mean / 2, row, metric)
        left += mean
    whole = f" {seconds(left * NS_PER_S)}" if left else " unknown"
    # A bar beside a much longer one is a sliver: its numbers are read all the same.
    parts = _largest(group) if left < _LABELLED_WIDTH * longest else ""
    axes.text(left, row, whole + parts, ha="left", va="center", fontsize="small")


def _largest(group: GroupSummary) -> str:
    """Return the phases with the most of a mean umount's time, in words."""
    shares = {name: group.metric(name).share or 0.0 for name in PHASES if _is_drawn(group, name)}
    most = sorted(shares, key=shares.__getitem__, reverse=True)[:_MOST_NAMED]
    texts = [f"{WORDS[n]} {100 * shares[n]:.0f} %" for n in most if shares[n] >= _LABELLED_SHARE]
    return f": {', '.join(texts)}" if texts else ""


def _label_bar(axes: Axes, x: float, row: int, metric: MetricSummary) -> None:
    share = metric.share or 0.0
    if share >= _LABELLED_SHARE:
        text = f"{seconds(metric.histogram.mean or 0.0)}\n{100 * share:.0f} %"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(x, row, text, ha="center", va="center", fontsize="small", bbox=box)


def _named(why: str, phases: set[str]) -> str:
    words = [WORDS[name] for name in PHASES if name in phases]
    return f"\n({why}: {', '.join(words)})" if words else ""


def _titled(axes: Axes, series: Mapping[str, Histogram], what: str, population: str) -> int:
    n = sum(histogram.count for histogram in series.values())
    axes.set_title(f"{capitalized(what)} ({umounts(n)}{population})", loc="left")
    if not n:
        say_empty(axes, f"No umount with {what} above zero is known.")
    return n


def _finish(axes: Axes, y_label: str) -> None:
    log_duration_axis(axes)
    axes.set_xlabel("duration")
    axes.set_ylabel(y_label)
    tidy(axes)
    # A frame without a line: where no corner is free, the text is read above the curves.
    axes.legend(loc="best", facecolor="white", edgecolor="none", framealpha=0.8)


def _stairs(
    axes: Axes,
    counts: Int64,
    edges: npt.NDArray[np.float64],
    look: Look,
    label: str,
    *,
    fill: bool,
) -> None:
    axes.stairs(
        counts,
        edges,
        fill=fill,
        facecolor=(look.color, 0.35) if fill else "none",
        edgecolor=look.color,
        hatch=look.hatch if fill else None,
        linestyle=look.line,
        linewidth=1.6,
        label=label,
    )


def _mark_low_bars(axes: Axes, bins: Iterable[Int64], edges: npt.NDArray[np.float64]) -> None:
    """Put a mark where a bar cannot be seen beside the highest; a row of marks per series."""
    counted = list(bins)
    least = _LEAST_SEEN * max(int(counts.max()) for counts in counted)
    middle = np.sqrt(edges[:-1] * edges[1:])
    for place, (look, counts) in enumerate(zip(_looks(len(counted)), counted, strict=True)):
        low = (counts > 0) & (counts < least)
        if low.any():
            axes.plot(
                middle[low],
                np.full(low.sum(), _MARKS_AT + _MARKS_APART * (place % len(SERIES))),
                transform=axes.get_xaxis_transform(),
                linestyle="none",
                marker=look.mark,
                markersize=3.5,
                color=look.color,
                markeredgecolor="black",
                markeredgewidth=0.4,
            )
    if axes.lines:
        axes.plot([], [], "o", markersize=3.5, color="0.4", label="marks: too few for a bar")


def _bins(series: Mapping[str, Histogram]) -> dict[str, Int64]:
    """Return the counts between the used `EDGES`, by label."""
    span = _used(series)
    return {name: each.rebin(EDGES)[span.start + 1 : span.stop] for name, each in series.items()}


def _used(series: Mapping[str, Histogram]) -> slice:
    """Return the part of `EDGES` that encloses all values, whole bins."""
    low = min(h.min for h in series.values() if h.min is not None)
    high = max(h.max for h in series.values() if h.max is not None)
    start = int(np.searchsorted(EDGES, low, side="right")) - 1
    stop = int(np.searchsorted(EDGES, high, side="right")) + 1
    return slice(min(max(start, 0), EDGES.size - 2), min(stop, EDGES.size))


def _cdf_points(
    histogram: Histogram,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    values, counts = histogram.cumulative()
    x = np.concatenate([[histogram.min or 1], values]) / NS_PER_S
    return x, 100 * np.concatenate([[0], counts]) / histogram.count


def _looks(n: int) -> Sequence[Look]:
    return [SERIES[place % len(SERIES)] for place in range(n)]


def _label(label: str, histogram: Histogram) -> str:
    return f"{label}: {histogram.count:,}, median {seconds(histogram.quantile(0.5) or 0)}"
