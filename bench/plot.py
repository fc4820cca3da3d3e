"""The picture of docs/overhead.md: what each tool adds to a walk and to a umount."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.slowdown import summary

Row = dict[str, Any]
_MOST = 300  # per cent; what is longer is cut, and says so
_LOOPS = {"stat": "stat", "open": "open and close", "umount": "umount(2)"}


def draw(host: Row, labs: Mapping[str, Row], path: Path) -> bool:
    """Draw a row of panels for the host (time) and for each lab kernel (instructions).

    Returns whether there was anything to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # pyplot would stay in the process, and choose a GUI

    shown = [("this host", "% slower", host.get("slowdown", []))]
    shown += [
        (f"lab, {lab['lab']['kernel'].split('+')[0]}", "% more instructions", lab.get("counts", []))
        for lab in labs.values()
    ]
    shown = [one for one in shown if any("traced" in row for row in one[2])]
    if not shown:
        return False
    rows = [[row for row in summary(samples) if "loops" in row] for _, _, samples in shown]
    figure = Figure(
        layout="constrained", figsize=(9, 1.0 + sum(0.6 + 0.3 * len(tools) for tools in rows))
    )
    heights = {"height_ratios": [2 + len(tools) for tools in rows]}
    grid = figure.subplots(len(shown), 3, squeeze=False, gridspec_kw=heights)
    for axes, (where, unit, _), tools in zip(grid, shown, rows, strict=True):
        for axis, (loop, title) in zip(axes, _LOOPS.items(), strict=True):
            _panel(axis, tools, loop, first=axis is axes[0])
            axis.set_title(f"{title}, {where}", fontsize=9)
            axis.set_xlabel(unit, fontsize=8)
    with rc_context({"svg.hashsalt": "umtrace", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return True


def _panel(axis: Any, tools: list[Row], loop: str, *, first: bool) -> None:
    places = range(len(tools))
    added = [(tool["loops"][loop]["ratio"] - 1) * 100 for tool in tools]
    low = [(tool["loops"][loop]["least"] - 1) * 100 for tool in tools]
    high = [(tool["loops"][loop]["most"] - 1) * 100 for tool in tools]
    added, low, high = ([min(value, _MOST) for value in values] for values in (added, low, high))
    ours = [tool["tool"].startswith("umtrace") for tool in tools]
    axis.barh(
        places, added, color=["#1f5fa8" if own else "#c9c9c9" for own in ours], edgecolor="black",
        linewidth=0.5, hatch=["" if own else "///" for own in ours],
    )  # fmt: skip
    if low != high:
        axis.hlines(list(places), low, high, color="black", linewidth=1)
    for place, value, end in zip(places, added, high, strict=True):
        whole = (tools[place]["loops"][loop]["ratio"] - 1) * 100
        axis.annotate(
            f"{whole:+.0f}" + (" (cut)" if whole > _MOST else ""), (max(end, value, 0), place),
            xytext=(3, 0), fontsize=7, textcoords="offset points", va="center",
        )  # fmt: skip
    axis.axvline(0, color="black", linewidth=0.8)
    axis.margins(x=0.4)
    axis.invert_yaxis()
    axis.set_yticks(places, [tool["tool"] for tool in tools] if first else [], fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
