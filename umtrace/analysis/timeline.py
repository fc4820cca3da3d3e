"""Umounts side by side in time: each with its phases, or how many were in which phase."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from umtrace.analysis.style import (
    NS_PER_S,
    PHASES,
    duration_axis,
    new_axes,
    say_empty,
    tidy,
    time_axis,
    umounts,
)
from umtrace.model.umounts import WORDS
from umtrace.stats.buckets import Int64
from umtrace.stats.columns import times
from umtrace.stats.overtime import Floats, lanes
from umtrace.stats.placement import PLACED, place

#: so many umounts are drawn one by one; more are counted
MOST_DRAWN = 400
_EMPTY = "No umount was recorded."
_FEW = 0.05  #: umounts at once: the labels of less have too many zeros
_HEIGHT = 0.8
_LEAST_LANES = 4  #: that the axis has room for
_MOST_VECTORS = 40
_OUTLINE = "0.6"
_SLIVER = 0.004  #: of the axis: in less, phases are narrower than a pixel


def plot_umounts(batches: Iterable[pa.RecordBatch], *, ax: Axes | None = None) -> Axes:
    """Draw every umount as a bar of its phases; those at the same time lie in several lanes.

    Parameters
    ----------
    batches : iterable of RecordBatch
        With ``t_start`` and the columns of `placement.COLUMNS`; `MOST_DRAWN` rows or so.
    ax : Axes, optional
        Where to draw; a new figure's by default.

    Notes
    -----
    The durations are measured, the places of the phases within an umount are not: see
    `umtrace.stats.placement`. An umount too short for that is a line in the colour of its longest
    phase, grey if none is known.
    """
    axes = new_axes() if ax is None else ax
    rows = [batch for batch in batches if batch.num_rows]
    n = sum(batch.num_rows for batch in rows)
    axes.set_title(f"Umounts by phase ({umounts(n)}, failed or not)", loc="left")
    if not n:
        say_empty(axes, _EMPTY)
        return axes
    starts = np.concatenate([times(batch) for batch in rows])
    placed = [place(batch) for batch in rows]
    begins = np.concatenate([begin for begin, _ in placed], axis=1)
    ends = np.concatenate([end for _, end in placed], axis=1)
    origin = int(starts.min())
    starts = starts - origin
    at = lanes(starts, starts + ends[-1])
    length = max(int((starts + ends[-1]).max()), 1)
    wide = ends[-1] >= _SLIVER * length
    longest = _longest(begins, ends)
    for number, name in [(-1, None), *enumerate(PLACED)]:
        thin = ~wide & (longest == number)
        _bars(
            axes, name, starts[thin], (starts + np.maximum(ends[-1], 1))[thin], at[thin], line=True
        )
    for number, name in enumerate(PLACED):
        _bars(axes, name, (starts + begins[number])[wide], (starts + ends[number])[wide], at[wide])
    _bars(axes, None, starts[wide], (starts + ends[-1])[wide], at[wide], line=True)
    _finish(axes, origin, int((starts + ends[-1]).max()))
    spare = max(_LEAST_LANES - 1 - int(at.max()), 0) / 2  # one lane alone would be a wall
    axes.set_ylim(int(at.max()) + 0.6 + spare, -0.6 - spare)
    axes.set_ylabel("umounts at once")
    axes.set_yticks(range(0, int(at.max()) + 1, max(int(at.max()) // 8, 1)))
    axes.set_yticklabels([str(tick + 1) for tick in axes.get_yticks().astype(int)])
    return axes


def plot_in_flight(spent: Floats, edges: Int64, n: int, *, ax: Axes | None = None) -> Axes:
    """Draw how many umounts were in each phase, stacked, over time.

    Where that is never more than `_FEW`, as of failed calls alone, the axis is the time spent: a
    mean of 0.00004 umounts is 40 µs of each second.

    Parameters
    ----------
    spent : ndarray of float64, shape (len(PLACED), k)
        See `umtrace.stats.overtime.in_flight`.
    edges : ndarray of int64, shape (k + 1,)
        In ns of UTC.
    n : int
        How many umounts these are.
    """
    axes = new_axes() if ax is None else ax
    few = 0 < float(spent.sum(axis=0).max(initial=0.0)) <= _FEW
    what = "Time in umounts" if few else "Umounts at once"
    axes.set_title(f"{what}, by phase ({umounts(n)}, failed or not)", loc="left")
    if not spent.any():
        say_empty(axes, "No umount with known phases." if n else _EMPTY)
        return axes
    x = (edges - edges[0]) / NS_PER_S
    shown = spent * (np.diff(edges) / NS_PER_S) if few else spent
    base = np.zeros(spent.shape[1])
    for number, name in enumerate(PLACED):
        if spent[number].any():
            top = base + shown[number]
            axes.stairs(
                top,
                x,
                baseline=base,
                fill=True,
                facecolor=PHASES[name].color,
                edgecolor="black",
                hatch=PHASES[name].hatch,
                linewidth=0.2,
                gid=name,
            )
            base = top
    _finish(axes, int(edges[0]), int(edges[-1] - edges[0]))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_ylabel(f"{'time in umounts in' if few else 'umounts at once, mean of'} {_step(edges)}")
    if few:
        duration_axis(axes.yaxis)
    return axes


def _longest(begins: Int64, ends: Int64) -> Int64:
    """Return for each umount the row of its longest phase, -1 where none took any time."""
    lengths = ends - begins
    found: Int64 = np.where(lengths.max(axis=0) > 0, lengths.argmax(axis=0), -1)
    return found


def _bars(
    axes: Axes, name: str | None, begins: Int64, ends: Int64, at: Int64, *, line: bool = False
) -> None:
    """Draw one phase of some umounts; None is none. With ``line``, the edges are drawn."""
    lasting = ends > begins
    if not lasting.any():
        return
    left, right = begins[lasting] / NS_PER_S, ends[lasting] / NS_PER_S
    low, high = at[lasting] - _HEIGHT / 2, at[lasting] + _HEIGHT / 2
    corners = np.stack(
        [np.stack([left, left, right, right], axis=1), np.stack([low, high, high, low], axis=1)],
        axis=2,
    )
    color = PHASES[name].color if name else _OUTLINE
    width = 1.2 if name and line else 0.8 if line else 0.0
    face = color if name else "none"
    bars = PolyCollection(
        list(corners),
        facecolors=face,
        edgecolors=color,
        linewidths=width,
        gid=name,
        rasterized=len(corners) > _MOST_VECTORS,
    )
    if name and not line and len(corners) <= _MOST_VECTORS:
        bars.set_hatch(PHASES[name].hatch)
        bars.set_edgecolor("black")
    axes.add_collection(bars, autolim=False)


def _finish(axes: Axes, origin: int, length: int) -> None:
    tidy(axes)
    axes.grid(visible=False, axis="y")
    length = max(length, 1)
    margin = 0.01 * length / NS_PER_S
    axes.set_xlim(-margin, length / NS_PER_S + margin)
    time_axis(axes, origin, length)
    drawn = {artist.get_gid() for artist in (*axes.collections, *axes.patches)}
    hatched = bool(axes.patches) or any(artist.get_hatch() for artist in axes.collections)
    keys = [_key(name, hatched=hatched) for name in PHASES if name in drawn]
    if keys:  # failed calls alone may have no phase
        axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)


def _key(name: str, *, hatched: bool) -> Patch:
    look, label = PHASES[name], WORDS[name]
    hatch = look.hatch if hatched else None
    return Patch(facecolor=look.color, hatch=hatch, edgecolor="black", linewidth=0.6, label=label)


def _step(edges: Int64) -> str:
    ns = int(edges[1] - edges[0])
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"
