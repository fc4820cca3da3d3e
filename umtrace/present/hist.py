"""The histogram of one duration, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from umtrace.present.bars import bars, metric_bars
from umtrace.present.heading import Heading, heading_lines
from umtrace.present.names import dash_notes, key_label, phase_name
from umtrace.present.report.as_json import head_dict
from umtrace.present.report.as_text import nothing
from umtrace.present.sections.groups import rest_line
from umtrace.present.terminal import WIDTH, render
from umtrace.present.times import QUANTILES, quantiles, times
from umtrace.present.units import duration
from umtrace.stats.bins import EDGES_125
from umtrace.stats.summary import MetricSummary, Summary

_GROUPS = 20


def histogram_text(
    summary: Summary,
    heading: Heading,
    metric: str,
    edges: Sequence[int] = EDGES_125,
    width: int = WIDTH,
) -> str:
    """Return a histogram of one duration column per group, as plain text."""
    total = summary.total
    parts = [*heading_lines(heading, total.n_incomplete, total.count), ""]
    if not total.count:
        parts.append(nothing(heading))
    for note in dash_notes(summary.by, [group.key for group in summary.groups]):
        parts += [f"Note: {note}", ""]
    for group in summary.groups[:_GROUPS]:
        title = f"{phase_name(metric)} of {key_label(summary.by, group.key)}"
        drawn = metric_bars(title, group.metric(metric), edges, group.population)
        parts += [drawn.title, *_quantiles(group.metric(metric)), *bars(drawn.bins, width), ""]
    parts += rest_line(summary, _GROUPS)
    return render(map(Text, parts), width).rstrip("\n") + "\n"


def _quantiles(metric: MetricSummary) -> list[str]:
    named = zip((*QUANTILES, "max"), quantiles(metric.occurred), strict=True)
    listed = ", ".join(f"{name} {duration(ns)}" for name, ns in named)
    return [f"  {listed}"] if metric.occurred.count else []


def histogram_dict(
    summary: Summary, heading: Heading, metric: str, edges: Sequence[int] = EDGES_125
) -> dict[str, Any]:
    """Return the histograms of one duration column.

    Each group has the keys of `times` and ``bins``: ``[lower edge, upper edge, count]``, in
    ns, without empty bins; the outermost edges are null where a bin has no end.
    """
    return {
        "metric": metric,
        "groups": [
            {
                "key": dict(zip(summary.by, group.key, strict=True)),
                **times(group.metric(metric)),
                "bins": _bins(group.metric(metric), edges),
            }
            for group in summary.groups
        ],
        **head_dict(heading),
    }


def _bins(metric: MetricSummary, edges: Sequence[int]) -> list[list[int | None]]:
    bins = metric_bars("", metric, edges).bins
    return [[each.low_ns, each.high_ns, each.count] for each in bins if each.count]
