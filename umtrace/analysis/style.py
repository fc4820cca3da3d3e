"""How the plots look: readable in colour, by the colour-blind, and in black and white."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
)

from umtrace.model.clock import date_time
from umtrace.model.errors import UsageError
from umtrace.stats.buckets import Int64
from umtrace.stats.summary import GroupSummary

NS_PER_S = 1e9

Floats = npt.NDArray[np.float64]


@contextmanager
def pinned_style() -> Iterator[None]:
    """Draw the same whatever the user's matplotlibrc says, and no path as a formula.

    A letter that the font does not have is drawn as a box, and a picture of a size that is too
    small for its layout is drawn without that; neither is a warning for the user.
    """
    with (
        rc_context(
            {"hatch.linewidth": 0.7, "font.family": "DejaVu Sans", "text.parse_math": False}
        ),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        yield


class Look(NamedTuple):
    """One series: a colour of the Okabe-Ito palette, and what tells it apart without one."""

    color: str
    hatch: str
    line: str
    mark: str = "o"


#: for series: dark and light alternate, so that they differ in grey as well
SERIES = (
    Look("#0072B2", "", "-"),
    Look("#E69F00", "////", "--", "s"),
    Look("#009E73", "----", "-.", "^"),
    Look("#CC79A7", "xxxx", ":", "D"),
)

#: for phases, by column; RCU stands out, and the shutdown is darker than the palette's
#: blue, since the two have most of the time and must differ in grey without a hatch
PHASES = {
    "lookup_ns": Look("#56B4E9", "----", "-"),
    "lock_ns": Look("#E69F00", "\\\\\\\\", "-"),
    "tree_ns": Look("#F0E442", "", "-"),
    "rcu_ns": Look("#D55E00", "////", "-"),
    "put_ns": Look("#CC79A7", "xxxx", "-"),
    "shutdown_ns": Look("#00569B", "", "-"),
    "other_ns": Look("#BBBBBB", "||", "-"),
}

_SECONDS = EngFormatter(unit="s")
_DIGITS = 3
_NOTEBOOK_DPI = 96
_POINTS = 72  # of an inch
_LEAST_INCH, _MOST_INCH = 1, 100
# Units of an axis of time beyond seconds, from so many of them on.
_LONG_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_FEWEST_UNITS = 3
_MINOR_PAD = 5.0  # points: their marks are shorter, and their labels end on the same line
_SLACK = 1e-6  # of a decade: rounding must not add one
_LABEL_ROOM = (4.0, 1.3)  # in letters' sizes, beside and above one another: the labels do not touch
_MOST_LEFT_OUT = 3  # of so many decades one is labelled
_APART = 1.5  # as a ratio: labels of counts that are closer would touch
# cividis is the same to most of the colour-blind. Darker is more, as on paper: no ink is
# no umount. Its brightest part is left out, so that a single umount differs from the paper.
_CELLS = LinearSegmentedColormap.from_list(
    "cells", colormaps["cividis"](np.linspace(0.62, 0, 256)), N=256
)


def new_axes(width: float = 8.0, height: float = 4.5) -> Axes:
    """Return the axes of a new figure that no GUI knows of; sizes in inches."""
    return new_column(1, width, height)[0]


def new_column(rows: int, width: float = 8.0, height: float = 4.5) -> list[Axes]:
    """Return axes below one another that share their x axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    options = {"axes_class": ShownAxes}
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False, subplot_kw=options)
    return [axes for row in grid for axes in row]


def checked_size(size: object) -> tuple[float, float]:
    """Return a width and a height in inches; UsageError where no picture can be so large."""
    numbers = tuple(size) if isinstance(size, tuple | list) else ()
    sound = [n for n in numbers if isinstance(n, int | float) and _LEAST_INCH <= n <= _MOST_INCH]
    if not len(numbers) == len(sound) == 2:  # noqa: PLR2004  width and height
        limits = f"each from {_LEAST_INCH} to {_MOST_INCH}"
        raise UsageError(f"{size!r:.40} is no size; give width and height in inches, {limits}")
    return float(sound[0]), float(sound[1])


class ShownAxes(Axes):
    """Axes that a notebook shows when they are the last value of a cell."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        figure_with(self).savefig(out, format="png", dpi=_NOTEBOOK_DPI)
        return out.getvalue()


def figure_with(axes: Axes) -> Figure:
    """Return the figure that the axes are in; TypeError if that is a part of another."""
    if not isinstance(axes.figure, Figure):
        raise TypeError("these axes are in a subfigure")
    return axes.figure


def seconds(ns: float) -> str:
    """Return a duration with three significant digits: `1.23 ms`."""
    if ns <= 0:
        return _SECONDS(0)
    digits = _DIGITS - 1 - math.floor(math.log10(ns))
    return _SECONDS(round(ns, digits) / NS_PER_S)


class _Decades(EngFormatter):
    """Labels decades in seconds with units; each second or third where all would touch."""

    def __init__(self, axis: Axis) -> None:
        super().__init__(unit="s")
        self._of = axis

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        values = list(values)
        every = min(max(math.ceil(self._needed()), 1), _MOST_LEFT_OUT)
        kept = [round(math.log10(value)) % every == 0 for value in values]
        texts = super().format_ticks(values)
        return [text if keep else "" for text, keep in zip(texts, kept, strict=True)]

    def _needed(self) -> float:
        """Return the room of a label as a part of the room of a decade."""
        axes = self._of.axes
        low, high = self._of.get_view_interval()
        beside = self._of is axes.xaxis
        pixels = (axes.bbox.width if beside else axes.bbox.height) / math.log10(high / low)
        letter = FontProperties(size=rcParams["font.size"]).get_size_in_points()
        needed = letter * _LABEL_ROOM[0 if beside else 1]
        return needed / (pixels * _POINTS / figure_with(axes).dpi)


def duration_axis(axis: Axis) -> None:
    """Label an axis in seconds with units: `0 s`, `200 µs`, `1 ms`."""
    axis.set_major_formatter(EngFormatter(unit="s"))


def log_duration_axis(axes: Axes) -> None:
    """Make x logarithmic from decade to decade, so that at least two are labelled.

    Takes what was drawn on axes that share this x axis into account.
    """
    axes.set_xscale("log")
    axes.margins(x=0)
    axes.autoscale(axis="x")
    axes.set_xlim(*_decades(*axes.get_xlim()))
    _label_decades(axes.xaxis, *axes.get_xlim())


def log_duration_y_axis(axes: Axes, low: float, high: float) -> None:
    """Make y logarithmic over the decades that hold low and high, both in seconds."""
    axes.set_yscale("log")
    axes.set_ylim(*_decades(low, high))
    _label_decades(axes.yaxis, *axes.get_ylim())


def _decades(low: float, high: float) -> tuple[float, float]:
    first = math.floor(math.log10(low) + _SLACK)
    return 10.0**first, 10.0 ** max(math.ceil(math.log10(high) - _SLACK), first + 1)


def _label_decades(axis: Axis, low: float, high: float) -> None:
    axis.set_major_formatter(_Decades(axis))
    axis.set_major_locator(LogLocator(numticks=20))
    axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=20))
    axis.set_minor_formatter(NullFormatter())
    if high < low * 10 * (1 + _SLACK):  # two labels alone: what lies between could not be read
        seconds = EngFormatter(unit="s")
        axis.set_tick_params(which="minor", pad=_MINOR_PAD)
        axis.set_minor_formatter(
            FuncFormatter(lambda value, _at: seconds(value) if _leading(value) in {2, 5} else "")
        )


def _leading(value: float) -> int:
    return round(value / 10.0 ** math.floor(math.log10(value) + _SLACK))


def time_axis(axes: Axes, begin_ns: int, length_ns: int) -> None:
    """Label x, in seconds after a moment of UTC in ns, over a length in ns."""
    axes.set_xlabel(f"time after {date_time(begin_ns, ms=True)}")
    for size, unit in _LONG_UNITS:
        if length_ns >= _FEWEST_UNITS * size * NS_PER_S:
            step = size * max(
                MaxNLocator(7, steps=[1, 2, 3, 5, 6, 10]).tick_values(
                    0, length_ns / NS_PER_S / size
                )[1],
                1,
            )
            axes.xaxis.set_major_locator(MultipleLocator(step))
            axes.xaxis.set_major_formatter(_in_units(size, unit))
            return
    duration_axis(axes.xaxis)


def _in_units(size: int, unit: str) -> FuncFormatter:
    return FuncFormatter(lambda value, _at: f"{value / size:g} {unit}")


def counted_cells(
    axes: Axes, x: Floats, y: Floats, counts: Int64, label: str = "umounts in a cell"
) -> None:
    """Draw counts as cells, darker for more, none for zero; with a labelled colour bar.

    Parameters
    ----------
    x, y : ndarray, shapes (n + 1,) and (m + 1,)
        Edges of the cells, in units of the axes.
    counts : ndarray of int64, shape (m, n)
    """
    most = max(int(counts.max()), 10)
    norm = LogNorm(1, most)
    shown = np.ma.masked_equal(counts, 0)
    mesh = axes.pcolormesh(x, y, shown, cmap=_CELLS, norm=norm, rasterized=True)
    bar = figure_with(axes).colorbar(mesh, ax=axes, pad=0.01, label=label)
    bar.ax.yaxis.set_major_locator(FixedLocator(_counts_up_to(most)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _at: f"{value:,.0f}"))
    bar.ax.minorticks_off()


def _counts_up_to(most: int) -> list[int]:
    """Return powers of ten from 1, and the largest count where it is not close to one of them."""
    decades = [10**power for power in range(len(str(most)))]
    return decades if most < _APART * decades[-1] else [*decades, most]


def mark_median(axes: Axes, place: tuple[float, float], look: Look, label: str) -> None:
    """Mark a median; whole, too, at the edge of the axes."""
    axes.plot(
        place[:1],
        place[1:],
        marker=look.mark,
        color=look.color,
        markersize=7,
        markeredgecolor="black",
        markeredgewidth=0.6,
        linestyle="none",
        clip_on=False,
        label=label,
    )


def tidy(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def end_of(path: str, most: int) -> str:
    """Return the end of a path, at most so many characters: whole names where one fits."""
    if len(path) <= most:
        return path
    end = path[1 - most :]
    names = end[end.find("/") :] if "/" in end[:-1] else end
    return f"…{names}"


def printable(text: str) -> str:
    """Return a text of a recording with a mark for each control character."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def only_printable(figure: Figure) -> None:
    """Have no text in a figure that more than shows: a label may be a name out of a recording."""
    for text in figure.findobj(Text):
        lines = text.get_text().split("\n")
        text.set_text("\n".join(printable(line) for line in lines))


def capitalized(text: str) -> str:
    """Return a text with its first letter large and the others, as in RCU, as they are."""
    return text[:1].upper() + text[1:]


def umounts(n: int) -> str:
    """Return how many: `1 umount`, `12,345 umounts`."""
    return f"{n:,} umount{'' if n == 1 else 's'}"


def timed(groups: Iterable[GroupSummary]) -> str:
    """Return which umounts the durations of groups are of: `9 umounts that did not fail`."""
    total = sum(groups, GroupSummary())
    return umounts(total.n_timed) + total.population


def say_empty(axes: Axes, text: str) -> None:
    """Put a sentence where the data would be."""
    # Not set_xticks([]): axes above may share them.
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False, which="both")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.3")
