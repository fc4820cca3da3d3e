"""Hosts of a fleet beside one another: where each host's latency is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from umtrace.analysis.style import (
    NS_PER_S,
    SERIES,
    end_of,
    log_duration_y_axis,
    new_axes,
    printable,
    say_empty,
    tidy,
)

_MOST_NAMED = 8
_NAME_CHARS = 24
_OTHERS = "others"
_MARKERS = ("o", "s", "^", "D")


def plot_hosts(
    hosts: Sequence[Mapping[str, Any]], named: Sequence[str] = (), *, ax: Axes | None = None
) -> Axes:
    """Draw each host's median and 99th percentile of the latency, the hosts of a kernel together.

    Parameters
    ----------
    hosts : sequence of mapping
        With ``host``, ``kernels``, ``p50_ns`` and ``p99_ns``; one without umounts is left out.
    named : sequence of str
        Hosts to name, the first ones if they are many.
    ax : Axes, optional
        Where to draw; a new figure's by default.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title("latency of each host: median to p99", loc="left")
    known = [row for row in hosts if row["p50_ns"] and row["p99_ns"]]
    if not known:
        say_empty(axes, "no host with a latency")
        return axes
    at, names = 0, set(named[:_MOST_NAMED])
    for place, (kernel, rows) in enumerate(_by_kernel(known).items()):
        look = SERIES[place]
        xs = range(at, at + len(rows))
        low, high = ([row[name] / NS_PER_S for row in rows] for name in ("p50_ns", "p99_ns"))
        axes.vlines(xs, low, high, color=look.color, linewidth=0.8, alpha=0.6)
        label = f"{end_of(printable(kernel), 40)} ({len(rows):,})"
        axes.plot(xs, high, _MARKERS[place], color=look.color, markersize=3, label=label)
        for x, row in zip(xs, rows, strict=True):
            if row["host"] in names:
                text = end_of(printable(row["host"]), _NAME_CHARS)
                axes.annotate(text, (x, row["p99_ns"] / NS_PER_S), (0, 4), ha="right", fontsize=7,
                              textcoords="offset points")  # fmt: skip
        at += len(rows)
    ends = [row[name] for row in known for name in ("p50_ns", "p99_ns")]
    log_duration_y_axis(axes, min(ends) / NS_PER_S, max(ends) / NS_PER_S)
    axes.set_xticks([])
    axes.set_xlabel(f"{len(known):,} hosts, by kernel and p99")
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    tidy(axes)
    return axes


def _by_kernel(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the hosts of the most frequent kernels, and of the others, in order of p99."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["kernels"].split("\n")[0] or "unknown", []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    kept = dict(ordered[: len(SERIES)])
    if len(ordered) > len(SERIES):
        kept = dict(ordered[: len(SERIES) - 1])
        kept[_OTHERS] = [row for _, rest in ordered[len(SERIES) - 1 :] for row in rest]
    return {
        kernel: sorted(mine, key=lambda r: (r["p99_ns"], r["host"]))
        for kernel, mine in kept.items()
    }
