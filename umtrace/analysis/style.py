"""How the plots look: readable in colour, by the colour-blind, and in black and white."""

from __future__ import annotations

import math
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

NS_PER_S = 1e9


class Look(NamedTuple):
    """One series: a colour of the Okabe-Ito palette, and what tells it apart without one."""

    color: str
    hatch: str
    line: str


#: for series: dark and light alternate, so that they differ in grey as well
SERIES = (
    Look("#0072B2", "", "-"),
    Look("#E69F00", "////", "--"),
    Look("#009E73", "....", "-."),
    Look("#CC79A7", "xxxx", ":"),
)

#: for phases, by column; RCU stands out
PHASES = {
    "lookup_ns": Look("#56B4E9", "....", "-"),
    "lock_ns": Look("#E69F00", "\\\\\\\\", "-"),
    "tree_ns": Look("#F0E442", "", "-"),
    "rcu_ns": Look("#D55E00", "////", "-"),
    "put_ns": Look("#CC79A7", "xxxx", "-"),
    "shutdown_ns": Look("#0072B2", "", "-"),
    "other_ns": Look("#BBBBBB", "||", "-"),
}

_SECONDS = EngFormatter(unit="s")
_DIGITS = 3
_SLACK = 1e-6  # of a decade: rounding must not add one


def new_axes(width: float = 8.0, height: float = 4.5) -> Axes:
    """Return the axes of a new figure that no GUI knows of; sizes in inches."""
    return new_column(1, width, height)[0]


def new_column(rows: int, width: float = 8.0, height: float = 4.5) -> list[Axes]:
    """Return axes below one another that share their x axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)
    return [axes for row in grid for axes in row]


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
    low, high = (math.log10(limit) for limit in axes.get_xlim())
    first = math.floor(low + _SLACK)
    axes.set_xlim(10.0**first, 10.0 ** max(math.ceil(high - _SLACK), first + 1))
    duration_axis(axes.xaxis)
    axes.xaxis.set_major_locator(LogLocator(numticks=20))
    axes.xaxis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=20))
    axes.xaxis.set_minor_formatter(NullFormatter())


def tidy(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def say_empty(axes: Axes, text: str) -> None:
    """Put a sentence where the data would be."""
    # Not set_xticks([]): axes above may share them.
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False, which="both")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.3")
