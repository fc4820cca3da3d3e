"""The designs below one another: what callers wait, and when file systems are shut down."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from umtrace.analysis.style import (
    NS_PER_S,
    SERIES,
    Look,
    checked_size,
    figure_with,
    log_duration_axis,
    mark_median,
    new_axes,
    pinned_style,
    say_empty,
    seconds,
    tidy,
    umounts,
)
from umtrace.whatif.answers import Answer, Quantile, WhatIf

_SPREAD, _LOWER = 0.64, 0.12  #: of the room of a design: its marks, below its title
_LEAST_LEFT = 0.12  #: of the axis: room for a number left of a mark
_BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
_WORDS = {"sync": "sync", "lazy": "lazy", "teardown": "namespace exit"}
_TAIL_Q = 0.99
_REASON_CHARS = 74
_LEAST_NS = 1  #: zero has no place on a logarithmic axis
_SMALL = "x-small"


@dataclass(frozen=True, slots=True)
class _Series:
    """One kind of mark: its quantiles in each design, in their order; empty is unknown."""

    label: str
    look: Look
    found: Sequence[tuple[Quantile, ...]]


def plot_simulated(
    found: WhatIf,
    *,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    notes: bool = True,
) -> Axes:
    """Draw what callers wait under each design, and when file systems are shut down.

    The mark is the median with its 95 % interval as a thick line, where the umounts are enough to
    bound it; the thin line reaches to the 99th percentile. The dotted lines are the medians under
    A. What is unknown is named in its row; below the axes are the reason and what is assumed, if
    ``notes`` is true.
    """
    with pinned_style():
        height = 1.8 + 0.95 * len(found.answers)
        axes = new_axes(height=height) if ax is None else ax
        _draw(axes, found, notes=notes)
        if figsize is not None:
            figure_with(axes).set_size_inches(checked_size(figsize))
    return axes


def _draw(axes: Axes, found: WhatIf, *, notes: bool) -> None:
    done = found.succeeded["all"]
    axes.set_title(_title(found, done), loc="left")
    if not done:
        failed = "No umount succeeded." if found.umounts else "No umount was recorded."
        say_empty(axes, failed)
        return
    series = list(_series(found))
    for place, each in enumerate(series):
        _mark(axes, each, _shift(place, len(series)))
    axes.set_yticks(range(len(found.answers)), [_label(each) for each in found.answers])
    axes.set_ylim(len(found.answers) - 0.5, -0.5)
    log_duration_axis(axes)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    for place, each in enumerate(series):
        _write_medians(axes, each, _shift(place, len(series)))
    for row, answer in enumerate(found.answers):
        _write_words(axes, row, answer)
        axes.axhline(row + 0.5, color="0.85", linewidth=0.8)
    axes.set_xlabel(_below(found, notes=notes))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _shift(place: int, of: int) -> float:
    return _LOWER + _SPREAD * ((place + 0.5) / of - 0.5)


def _title(found: WhatIf, done: int) -> str:
    population = " that did not fail" if found.failed else ""
    return f"Simulated under each design ({umounts(done)}{population})"


def _series(found: WhatIf) -> Iterator[_Series]:
    kinds = [kind for kind in _WORDS if found.succeeded[kind]]
    for kind, look in zip(kinds, SERIES, strict=False):
        label = f"caller waits,\n{_WORDS[kind]}: {umounts(found.succeeded[kind])}"
        yield _Series(label, look, [each.caller.get(kind, ()) for each in found.answers])
    yield _Series("until shut down,\nall", SERIES[-1], [each.gone for each in found.answers])


def _mark(axes: Axes, series: _Series, shift: float) -> None:
    look, named = series.look, series.label
    for row, quantiles in enumerate(series.found):
        if not quantiles:
            continue
        by_q = {each.q: each for each in quantiles}
        median, tail = by_q[0.5], by_q[_TAIL_Q]
        at, y = _s(median.ns), row + shift
        if row == 0:
            axes.axvline(at, color=look.color, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0.5)
        axes.plot([at, _s(tail.ns)], [y, y], color=look.color, linewidth=1.2, linestyle=look.line)
        ends = [at if end is None else _s(end) for end in (median.low_ns, median.high_ns)]
        axes.plot(ends, [y, y], color=look.color, linewidth=5, alpha=0.5, solid_capstyle="butt")
        mark_median(axes, (at, y), look, named)
        named = "_"  # once in the legend


def _write_medians(axes: Axes, series: _Series, shift: float) -> None:
    """Write each median left of its mark, or above the line where there is no room."""
    for row, quantiles in enumerate(series.found):
        if not quantiles:
            continue
        ns = quantiles[0].ns
        at = axes.transLimits.transform(axes.transScale.transform((_s(ns), 0)))[0]
        left = at > _LEAST_LEFT
        axes.annotate(
            seconds(ns),
            (_s(ns), row + shift),
            xytext=(-7, 0) if left else (7, 1),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center" if left else "bottom",
            fontsize=_SMALL,
            bbox=_BOX if left else None,
        )


def _s(ns: int) -> float:
    return max(ns, _LEAST_NS) / NS_PER_S


def _label(each: Answer) -> str:
    return f"{each.design.name}\n" + ("" if each.waits is None else f"{each.waits:,} wait")


def _write_words(axes: Axes, row: int, each: Answer) -> None:
    """Write into the row of a design what it does, and what is not known of it."""
    _write(axes, each.design.title, (0.01, row - 0.45), ha="left", va="top")
    if not each.why:
        return
    text = "shut down: unknown" if each.caller else "unknown"
    place = (0.99, row + (0.42 if each.caller else _LOWER))
    _write(axes, text, place, ha="right", va="bottom", style="italic")


def _write(axes: Axes, text: str, place: tuple[float, float], **look: Any) -> None:
    """Write at a part of the width and a place on the y axis."""
    where = ("axes fraction", "data")
    axes.annotate(text, place, xycoords=where, fontsize=_SMALL, bbox=_BOX, **look)


def _below(found: WhatIf, *, notes: bool) -> str:
    """Return what the picture shows, what is assumed, and why something is unknown."""
    lines = ["duration: median with its 95 % interval, line to the 99th percentile;"]
    lines += ["left: how many wait for a grace period in the call; dotted: medians under A"]
    reasons = (f"{names}: {why}" for why, names in found.reasons.items())
    for each in [*found.assumed, *reasons] if notes else ():
        lines += textwrap.wrap(f"({each})", _REASON_CHARS, break_on_hyphens=False)
    return "\n".join(lines)
