"""EBUSY windows along the axis of time, by what they turned out to be."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from umtrace.analysis.style import NS_PER_S, PHASES, SERIES, new_axes, say_empty, tidy, time_axis

#: the columns that the picture shows
DRAWN = ("class", "begin", "duration_ns", "path", "walkers")
Floats = npt.NDArray[np.float64]
#: so many windows are drawn one by one; more are counted
_MOST_DRAWN = 300
_BINS = 120
_MOST_PATHS = 20
_LABEL_CHARS = 28
_MOST_LABELLED = 30
_MOST_NAMES = 2
_LOOKS = (*SERIES, *PHASES.values())


def plot_ebusy(windows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw when umount met EBUSY, for how long, and of which class.

    Parameters
    ----------
    windows : DataFrame
        With ``class``, ``begin``, ``duration_ns`` and ``path``; one row per window. Up to
        300 are bars, a row for each path; more are counted over time.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title(f"EBUSY windows ({len(windows):,})", loc="left")
    known = windows[windows["begin"].notna()]
    if known.empty:
        say_empty(axes, "No EBUSY window was recorded.")
        return axes
    begin = known["begin"].astype("int64").to_numpy()
    length = known["duration_ns"].astype("Float64").fillna(0).to_numpy(np.float64) / NS_PER_S
    start = (begin - begin.min()) / NS_PER_S
    names = known["class"].astype("string").fillna("unknown")
    if len(known) <= _MOST_DRAWN:
        rows = _bars(axes, start, length, names, known["path"].astype("string").fillna("-"))
        if "walkers" in known.columns and len(known) <= _MOST_LABELLED:
            _name_walkers(axes, start + length, rows, known["walkers"])
    else:
        _counts(axes, start, names)
    tidy(axes)
    time_axis(axes, int(begin.min()), int((begin + length * NS_PER_S).max() - begin.min()))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)
    return axes


def _bars(axes: Axes, start: Floats, length: Floats, names: pd.Series, paths: pd.Series) -> Floats:
    order = list(dict.fromkeys(paths))
    shown, rest = order[:_MOST_PATHS], len(order) - _MOST_PATHS
    row = paths.map({path: min(n, _MOST_PATHS) for n, path in enumerate(order)}).to_numpy()
    for place, name in enumerate(sorted(set(names))):
        look = _LOOKS[place % len(_LOOKS)]
        mine = (names == name).to_numpy(dtype=bool)
        axes.barh(
            row[mine],
            length[mine],
            left=start[mine],
            height=0.6,
            color=look.color,
            hatch=look.hatch,
            edgecolor="black",
            linewidth=0.8,
            label=f"{name}: {int(mine.sum()):,}",
        )
    labels = [_short(path) for path in shown] + ([f"{rest} more paths"] if rest > 0 else [])
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    return row


def _name_walkers(axes: Axes, at: Floats, rows: Floats, walkers: pd.Series) -> None:
    """Write beside each window who held the mount for a moment."""
    for x, y, text in zip(at, rows, walkers.fillna("[]"), strict=True):
        found = json.loads(text)
        if found:
            names = dict.fromkeys(str(walker.get("comm") or walker["tid"]) for walker in found)
            label = f" {', '.join(list(names)[:_MOST_NAMES])}"
            axes.text(x, y, label, va="center", fontsize="small")


def _counts(axes: Axes, start: Floats, names: pd.Series) -> None:
    edges = np.linspace(0, max(float(start.max()), 1e-9), _BINS + 1)
    base = np.zeros(_BINS)
    for place, name in enumerate(sorted(set(names))):
        look = _LOOKS[place % len(_LOOKS)]
        mine = (names == name).to_numpy(dtype=bool)
        top = base + np.histogram(start[mine], edges)[0]
        axes.stairs(
            top,
            edges,
            baseline=base,
            fill=True,
            facecolor=look.color,
            edgecolor="black",
            hatch=look.hatch,
            linewidth=0.3,
            label=f"{name}: {int(mine.sum()):,}",
        )
        base = top
    axes.set_ylabel("windows that began")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _short(path: str) -> str:
    return path if len(path) <= _LABEL_CHARS else "…" + path[1 - _LABEL_CHARS :]
