"""The RCU wait against the number of mounts that one umount takes down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from umtrace.analysis.plots import EDGES
from umtrace.analysis.style import (
    NS_PER_S,
    counted_cells,
    log_duration_y_axis,
    new_axes,
    say_empty,
    tidy,
    umounts,
)
from umtrace.stats.buckets import Int64
from umtrace.stats.columns import durations
from umtrace.stats.grouped import GroupedHistogram
from umtrace.stats.summarize import RCU

COLUMNS = ("n_mounts", RCU)
#: edges of the bins of mounts: 1, 2, 3, 4, then four to a power of two
MOUNT_EDGES = np.unique(np.round(2 ** np.arange(0, 31.25, 0.25)).astype(np.int64))
_MOST_POINTS = 3_000
_FEW = 300  #: points that may be large
_LEAST_UMOUNTS = 3  #: of a median, and so many medians of a line
_LEAST_SPAN = 8  # of the x axis: at least two of its ticks are seen


@dataclass(slots=True)
class RcuByMounts:
    """What is drawn; of bounded size whatever the number of rows."""

    n: int = 0
    points: list[tuple[Int64, Int64]] = field(default_factory=list)
    grid: Int64 = field(
        default_factory=lambda: np.zeros((EDGES.size - 1, MOUNT_EDGES.size - 1), np.int64)
    )
    waits: GroupedHistogram = field(default_factory=GroupedHistogram)  #: by bin of mounts
    mounts: GroupedHistogram = field(default_factory=GroupedHistogram)

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch]) -> RcuByMounts:
        """Take the rows in which both numbers are known and above zero."""
        result = cls()
        for batch in batches:
            mounts, waits = durations(batch, "n_mounts").astype(np.int64), durations(batch, RCU)
            known = (mounts > 0) & (waits > 0)
            if known.any():
                result._add(mounts[known], waits[known])
        return result

    def _add(self, mounts: Int64, waits: Int64) -> None:
        self.n += mounts.size
        x = np.searchsorted(MOUNT_EDGES, mounts, side="right") - 1
        x = np.minimum(x, MOUNT_EDGES.size - 2)
        y = np.searchsorted(EDGES, waits, side="right") - 1
        np.add.at(self.grid, (y, x), 1)
        self.waits.add(x, waits, MOUNT_EDGES.size - 1)
        self.mounts.add(x, mounts, MOUNT_EDGES.size - 1)
        if self.n <= _MOST_POINTS:
            self.points.append((mounts, waits))

    @property
    def is_small(self) -> bool:
        """Whether every row can be drawn as a point."""
        return self.n <= _MOST_POINTS


def plot_rcu_by_mounts(data: RcuByMounts, *, ax: Axes | None = None) -> Axes:
    """Draw the RCU wait against the mounts taken down, with the median of each size.

    A point is an umount; more than 3,000 are counted in cells instead.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title(
        f"RCU wait by mounts taken down ({umounts(data.n)} with both above 0)", loc="left"
    )
    if not data.n:
        say_empty(axes, "No umount with a known number of mounts and RCU wait.")
        return axes
    axes.set_xscale("log", base=2)
    _points(axes, data) if data.is_small else _cells(axes, data)
    _medians(axes, data)
    _limits(axes, data)
    tidy(axes)
    axes.set_xlabel("mounts taken down")
    axes.set_ylabel("RCU wait")
    # Below the axes: to look for the best place among thousands of cells takes seconds.
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.12), ncols=2, frameon=False)
    return axes


def _points(axes: Axes, data: RcuByMounts) -> None:
    mounts, waits = (np.concatenate(part) for part in zip(*data.points, strict=True))
    axes.plot(
        mounts,
        waits / NS_PER_S,
        linestyle="none",
        marker="o",
        markersize=4 if data.n > _FEW else 7,
        color="#0072B2",
        alpha=0.6,
        markeredgewidth=0,
        label="one umount",
    )


def _cells(axes: Axes, data: RcuByMounts) -> None:
    edges = (MOUNT_EDGES - 0.5).astype(np.float64)
    counted_cells(axes, edges, EDGES / NS_PER_S, data.grid)


def _limits(axes: Axes, data: RcuByMounts) -> None:
    rows, columns = (np.flatnonzero(data.grid.any(axis=axis)) for axis in (1, 0))
    log_duration_y_axis(axes, EDGES[rows[0]] / NS_PER_S, EDGES[rows[-1] + 1] / NS_PER_S)
    low, high = MOUNT_EDGES[columns[0]] / 1.5, MOUNT_EDGES[columns[-1] + 1] * 1.2
    axes.set_xlim(low, max(high, low * _LEAST_SPAN))
    axes.xaxis.set_major_formatter(lambda value, _at: f"{value:,.0f}" if value >= 1 else "")


def _medians(axes: Axes, data: RcuByMounts) -> None:
    """Draw the median of each size that has some umounts; a line needs three of them."""
    x, y = [], []
    for number in np.flatnonzero(data.grid.any(axis=0)).tolist():
        waits = data.waits.histogram(number)
        if waits.count >= _LEAST_UMOUNTS:
            x.append(data.mounts.histogram(number).mean or 0)
            y.append((waits.quantile(0.5) or 0) / NS_PER_S)
    if not x:
        return
    line = "-" if len(x) >= _LEAST_UMOUNTS else "none"
    axes.plot(
        x,
        y,
        color="#D55E00",
        marker="D",
        markersize=6,
        markeredgecolor="black",
        linestyle=line,
        linewidth=1.5,
        clip_on=False,  # whole, too, at the edge
        label=f"median of {_LEAST_UMOUNTS} umounts or more",
    )
