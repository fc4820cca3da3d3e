"""The pictures of a fleet; the drawing is that of recordings, and of `umtrace.analysis.hosts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from umtrace.fleet.hosts import outliers
from umtrace.fleet.report import FleetReport
from umtrace.present.names import key_label
from umtrace.stats.summary import GroupSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROUPS = 4


def draw_hosts(report: FleetReport) -> Axes:
    """Draw where each host is."""
    from umtrace.analysis.hosts import plot_hosts  # noqa: PLC0415 - an extra

    named = [str(row["host"]) for row in outliers(report.part.hosts)]
    return plot_hosts(report.part.hosts.to_pylist(), named)


def draw_cdf(report: FleetReport) -> Axes:
    """Draw which part of the umounts took at most so long."""
    from umtrace.analysis.plots import plot_cdf  # noqa: PLC0415

    series = {name: group.metric("latency_ns").occurred for name, group in _groups(report).items()}
    return plot_cdf(series, what="latency")


def draw_hist(report: FleetReport) -> Axes:
    """Draw how many umounts took how long."""
    from umtrace.analysis.plots import plot_hist  # noqa: PLC0415

    series = {name: group.metric("latency_ns").occurred for name, group in _groups(report).items()}
    return plot_hist(series, what="latency")


def draw_phases(report: FleetReport) -> Axes:
    """Draw where the mean umount's time goes."""
    from umtrace.analysis.plots import plot_phases  # noqa: PLC0415

    return plot_phases(_groups(report))


DRAW: dict[str, Callable[[FleetReport], Axes]] = {
    "hosts": draw_hosts,
    "cdf": draw_cdf,
    "hist": draw_hist,
    "phases": draw_phases,
}
KINDS = tuple(DRAW)


def _groups(report: FleetReport) -> dict[str, GroupSummary]:
    summary = report.summary
    return {key_label(summary.by, group.key): group for group in summary.groups[:_GROUPS]}
