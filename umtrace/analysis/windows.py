"""EBUSY windows along the axis of time, by what they turned out to be."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from umtrace.analysis.style import (
    NS_PER_S,
    Look,
    counted_cells,
    end_of,
    new_axes,
    printable,
    say_empty,
    tidy,
    time_axis,
)
from umtrace.model.windows import AFTERWARDS, CLASSES

#: the columns that the picture shows of few windows, and of many
DRAWN = ("class", "begin", "duration_ns", "path", "walkers")
COUNTED = DRAWN[:3]
#: so many windows are drawn one by one; more are counted
MOST_BARS = 300
Floats = npt.NDArray[np.float64]
_BINS = 120
_MOST_PATHS = 20
_LABEL_CHARS = 28
_MOST_LABELLED = 30
_MOST_NAMES = 2
_SLIVER = 0.004  #: of the axis
_MARGIN = 0.02
_LEAST_SPAN_S = 1e-3  #: of an axis for one window without a length
_NO_SPAN_S = 2e-5  #: a system call or two
_LEAST_ROWS = 5  #: that the axis has room for
_MOST_OUTLINED = 30  #: of more windows, the outlines would be all that is seen
_STRANGER = Look("white", "", "-")
#: a class looks the same in every picture; the light ones are those of nobody's fault
_LOOKS = {
    "transient-ref": Look("#F0E442", "", "-"),
    "held": Look("#0072B2", "", "-"),
    "inherited-fd": Look("#0072B2", "////", "-"),
    "submount": Look("#56B4E9", "----", "-"),
    "propagated-copy": Look("#56B4E9", "||||", "-"),
    "expire": Look("white", "////", "-"),
    "stolen-put": Look("#F0E442", "xxxx", "-"),
    "lazy-tail": Look("#E69F00", "\\\\\\\\", "-"),
    "shared-sb": Look("#009E73", "....", "-"),
    "downstream": Look("#CC79A7", "xxxx", "-"),
    "unknown": Look("#BBBBBB", "", "-"),
}


def plot_ebusy(windows: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw when umount met EBUSY, for how long, and of which class.

    Parameters
    ----------
    windows : DataFrame
        With the columns `DRAWN`, one row per window; `COUNTED` are enough for more than
        300. Windows are bars, in a row for each path, or for each class where there are
        more than 20 paths; above 300 it is counted how many of each class began when.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title(_title(windows["class"]), loc="left")
    known = windows[windows["begin"].notna()]
    if known.empty:
        say_empty(axes, "No EBUSY window was recorded.")
        return axes
    begin = known["begin"].astype("int64").to_numpy()
    length = known["duration_ns"].astype("Float64").fillna(0).to_numpy(np.float64) / NS_PER_S
    start = (begin - begin.min()) / NS_PER_S
    classes = known["class"].astype("string").fillna("unknown")
    if len(known) > MOST_BARS:
        _cells(axes, start, classes)
    else:
        _bars(axes, start, length, known.assign(**{"class": classes}))
    tidy(axes)
    axes.grid(visible=False, axis="y")
    extent = float((start + length).max())
    span = extent if extent > _NO_SPAN_S else _LEAST_SPAN_S
    axes.set_xlim(-_MARGIN * span, (1 + _MARGIN) * span)
    time_axis(axes, int(begin.min()), int(span * NS_PER_S))
    return axes


def _title(classes: pd.Series) -> str:
    """Return how many windows there are; after an umount that succeeded nobody got EBUSY."""
    after = int(classes.isin(list(AFTERWARDS)).sum())
    refused = f"EBUSY windows ({len(classes) - after:,})"
    return f"{refused}, in use after umount ({after:,})" if after else refused


def _bars(axes: Axes, start: Floats, length: Floats, windows: pd.DataFrame) -> None:
    classes = windows["class"]
    counts = _counts(classes)
    paths = windows["path"].astype("string").fillna("-")
    by_class = paths.nunique() > _MOST_PATHS
    rows = list(counts) if by_class else list(dict.fromkeys(paths))
    at = (classes if by_class else paths).map({name: n for n, name in enumerate(rows)}).to_numpy()
    brief = length < _SLIVER * max(float((start + length).max()), 1e-9)
    keys = []
    crowded = len(windows) > _MOST_OUTLINED
    for name, n in counts.items():
        look = _LOOKS.get(name, _STRANGER)
        mine = (classes == name).to_numpy(dtype=bool)
        for color, width in (
            ("black", 2.6 if crowded else 4),
            (look.color, 2),
        ):  # too brief for a bar
            here = mine & brief
            axes.vlines(start[here], at[here] - 0.3, at[here] + 0.3, color=color, linewidth=width)
        axes.barh(
            at[mine & ~brief],
            length[mine & ~brief],
            left=start[mine & ~brief],
            height=0.6,
            color=look.color,
            hatch=look.hatch,
            edgecolor="black",
            linewidth=0.5 if crowded else 0.8,
        )
        keys.append(_key(look, f"{printable(name)}: {n:,}"))
    if by_class:
        _label_classes(axes, counts)
    else:
        _label_rows(axes, [_short(path) for path in rows])
    spare = max(_LEAST_ROWS - len(rows), 0) / 2
    axes.set_ylim(len(rows) - 0.5 + spare, -0.5 - spare)
    if not by_class:
        axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)
    if len(windows) <= _MOST_LABELLED:
        _name_walkers(axes, start + length, at, windows["walkers"])


def _cells(axes: Axes, start: Floats, classes: pd.Series) -> None:
    counts = _counts(classes)
    edges = np.linspace(0, max(float(start.max()), 1e-9), _BINS + 1)
    began = [np.histogram(start[(classes == name).to_numpy(bool)], edges)[0] for name in counts]
    rows: Floats = np.arange(len(counts) + 1, dtype=np.float64) - 0.5
    counted_cells(axes, edges, rows, np.stack(began), "windows that began")
    axes.hlines(rows[1:-1], 0, edges[-1], color="white", linewidth=3)
    _label_classes(axes, counts)


def _counts(classes: pd.Series) -> dict[str, int]:
    """Return how many there are of each class, in the order of the taxonomy."""
    found = classes.value_counts()
    order = [name for name in CLASSES if name in found.index]
    order += sorted(name for name in found.index if name not in CLASSES)
    return {name: int(found[name]) for name in order}


def _label_classes(axes: Axes, counts: dict[str, int]) -> None:
    _label_rows(axes, [f"{printable(name)}\n{n:,}" for name, n in counts.items()])


def _label_rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def _key(look: Look, label: str) -> Patch:
    return Patch(facecolor=look.color, hatch=look.hatch, edgecolor="black", label=label)


def _name_walkers(axes: Axes, at: Floats, rows: Floats, walkers: pd.Series) -> None:
    """Write beside each window who held the mount for a moment."""
    for x, y, text in zip(at, rows, walkers.fillna("[]"), strict=True):
        found = json.loads(text)
        if found:
            names = dict.fromkeys(str(walker.get("comm") or walker["tid"]) for walker in found)
            label = f" {printable(', '.join(list(names)[:_MOST_NAMES]))}"
            axes.text(x, y, label, va="center", fontsize="small")


def _short(path: str) -> str:
    return end_of(printable(path), _LABEL_CHARS)
