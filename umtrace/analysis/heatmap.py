"""Latency over time as a heat map: what a burst did to the umounts in it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from umtrace.analysis.style import (
    NS_PER_S,
    capitalized,
    counted_cells,
    log_duration_y_axis,
    new_axes,
    say_empty,
    tidy,
    time_axis,
    umounts,
)
from umtrace.stats.buckets import Int64


def plot_heatmap(
    counts: Int64, time_edges: Int64, edges: Int64, *, what: str, ax: Axes | None = None
) -> Axes:
    """Draw how many umounts began when and took how long; an empty cell stays empty.

    Parameters
    ----------
    counts : ndarray of int64, shape (len(edges) - 1, len(time_edges) - 1)
        See `umtrace.stats.overtime.heat`.
    time_edges, edges : ndarray of int64
        In ns of UTC, and in ns.
    what : str
        What was measured, for the title.
    ax : Axes, optional
        Where to draw; a new figure's by default.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title(
        f"{capitalized(what)} over time ({umounts(int(counts.sum()))}, failed or not)", loc="left"
    )
    used = np.flatnonzero(counts.any(axis=1))
    if not used.size:
        say_empty(axes, f"No umount with {what} above zero is known.")
        return axes
    rows = slice(int(used[0]), int(used[-1]) + 1)
    y = edges[rows.start : rows.stop + 1] / NS_PER_S
    counted_cells(axes, (time_edges - time_edges[0]) / NS_PER_S, y, counts[rows])
    log_duration_y_axis(axes, y[0], y[-1])
    tidy(axes)
    time_axis(axes, int(time_edges[0]), int(time_edges[-1] - time_edges[0]))
    axes.set_ylabel(what)
    return axes
