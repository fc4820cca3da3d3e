"""A summary for programs: JSON, CSV and Markdown.

The JSON, stable from version 1 on; null is unknown, times are ns, shares 0 to 1::

    {"groups": [{
        "key": {"mode": "sync"},
        "count": 41, "incomplete": 0, "upper_bound": 0, "outcome_unknown": 0,
        "errno": {"EBUSY": 7},
        "latency_ns": TIMES, "rcu_ns": TIMES, "rcu_share": 0.12,
        "phases": {"lookup_ns": TIMES and "share", ...}}],
     "losses": {"ring_events": 0, ...},
     "meta": {"source": ..., "kernel": ..., "problems": [...], ...}}

TIMES is ``{"n", "n_zero", "n_null", "p50", "p90", "p99", "max", "mean"}``. The quantiles,
maximum and mean are those of the ``n`` umounts in which it took any time; ``n_zero``
are those without it, ``n_null`` those where it is unknown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from umtrace.present.ebusy import VERDICTS
from umtrace.present.escaped import dumps
from umtrace.present.heading import Heading, loss_text
from umtrace.present.names import key_label, phase_name
from umtrace.present.terminal import clean
from umtrace.present.units import NULL, count, duration, percent
from umtrace.records.umounts import PHASES
from umtrace.stats.bins import EDGES_125
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, MetricSummary, Summary

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def report_dict(summary: Summary, heading: Heading) -> dict[str, Any]:
    """Return the mapping that the module's docstring describes."""
    return {
        "groups": [_group(summary.by, group) for group in summary.groups],
        "losses": heading.losses.to_dict(),
        "meta": _meta(heading),
    }


def histogram_dict(
    summary: Summary, heading: Heading, metric: str, edges: Sequence[int] = EDGES_125
) -> dict[str, Any]:
    """Return the histograms of one duration column.

    Each group has TIMES and ``bins``: ``[lower edge, upper edge, count]``, in ns, without
    empty bins; the outermost edges are null where a bin has no end.
    """
    return {
        "metric": metric,
        "groups": [
            {
                "key": dict(zip(summary.by, group.key, strict=True)),
                **_times(group.metric(metric)),
                "bins": _bins(group.metric(metric), edges),
            }
            for group in summary.groups
        ],
        "losses": heading.losses.to_dict(),
        "meta": _meta(heading),
    }


def to_json(data: dict[str, Any]) -> str:
    """Return JSON text in ASCII, ending in a newline."""
    return dumps(data, indent=2) + "\n"


def report_csv(summary: Summary) -> str:
    """Return one line per group: key, counts, and TIMES of each duration as columns.

    An empty cell is null. ``errno`` is as ``EBUSY:7;EINVAL:1``.
    """
    counts = ["count", "incomplete", "upper_bound", "outcome_unknown", "failed", "errno"]
    durations = [LATENCY, *PHASES]
    parts = [*_times(MetricSummary()), "share"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*summary.by, *counts, *(f"{d}_{part}" for d in durations for part in parts)])
    for group in summary.groups:
        metrics = [group.metric(name) for name in durations]
        shares = map(group.share, durations)
        pairs = zip(metrics, shares, strict=True)
        times = (value for m, share in pairs for value in (*_times(m).values(), share))
        errnos = ";".join(f"{name}:{number}" for name, number in group.errnos.items())
        unknown = group.n_outcome_unknown
        numbers = [group.count, group.n_incomplete, group.n_upper, unknown, group.n_failed]
        key = (clean(part) if isinstance(part, str) else part for part in group.key)
        writer.writerow([*key, *numbers, errnos, *times])
    return out.getvalue()


def report_markdown(
    summary: Summary, heading: Heading, windows: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return tables of the groups, all phases and the EBUSY windows, for an issue or a mail.

    Parameters
    ----------
    windows : sequence of mappings
        ``WindowTotals.rows()``; a table where there is any.
    """
    lines = [f"`{clean(heading.source)}`, losses: {loss_text(heading.losses)}", ""]
    lines += [part for problem in heading.problems for part in (f"DAMAGED: {clean(problem)}", "")]
    names = ["group", "umounts", "failed", "time", "p50", "p90", "p99", "max", "share"]
    rows = [row for group in summary.groups for row in _markdown_rows(summary.by, group)]
    lines += _markdown_table(names, rows)
    total = summary.total
    phases = [
        [phase_name(name), *_human(total.metric(name)), percent(total.share(name))]
        for name in PHASES
    ]
    lines += ["", *_markdown_table(["phase", "p50", "p90", "p99", "max", "share"], phases)]
    if windows:
        names = ["EBUSY class", "verdict", "windows", "calls", "time in them"]
        rows = [_markdown_windows(row) for row in windows]
        lines += ["", *_markdown_table(names, rows)]
    return "\n".join(lines) + "\n"


def _group(by: Sequence[str], group: GroupSummary) -> dict[str, Any]:
    rcu = group.metric(RCU)
    phases = {name: group.metric(name) for name in PHASES}
    return {
        "key": dict(zip(by, group.key, strict=True)),
        "count": group.count,
        "incomplete": group.n_incomplete,
        "upper_bound": group.n_upper,
        "outcome_unknown": group.n_outcome_unknown,
        "errno": dict(group.errnos),
        LATENCY: _times(group.metric(LATENCY)),
        RCU: _times(rcu),
        "rcu_share": group.share(RCU),
        "phases": {name: {**_times(m), "share": group.share(name)} for name, m in phases.items()},
    }


def _times(metric: MetricSummary) -> dict[str, Any]:
    seen = metric.occurred
    return {
        "n": seen.count,
        "n_zero": metric.histogram.zeros,
        "n_null": metric.n_null,
        **{name: seen.quantile(q) for name, q in _QUANTILES.items()},
        "max": seen.max,
        "mean": seen.mean,
    }


def _bins(metric: MetricSummary, edges: Sequence[int]) -> list[list[int | None]]:
    bounds = [None, *edges, None]
    counts = metric.occurred.rebin(edges).tolist()
    triples = zip(bounds, bounds[1:], counts, strict=False)
    return [[low, high, number] for low, high, number in triples if number]


def _meta(heading: Heading) -> dict[str, Any]:
    values = {f.name: getattr(heading, f.name) for f in fields(heading) if f.name != "losses"}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _human(metric: MetricSummary) -> list[str]:
    seen = metric.occurred
    return [*(duration(seen.quantile(q)) for q in _QUANTILES.values()), duration(seen.max)]


def _markdown_rows(by: Sequence[str], group: GroupSummary) -> list[list[str]]:
    latency, rcu = group.metric(LATENCY), group.metric(RCU)
    failed = ", ".join(f"{name} {count(number)}" for name, number in group.errnos.items())
    seen = count(rcu.occurred.count) if rcu.histogram.count else NULL
    label = key_label(by, group.key)
    return [
        [label, count(group.count), failed or "0", "latency", *_human(latency), ""],
        ["", seen, "", "RCU wait", *_human(rcu), percent(group.share(RCU))],
    ]


def _markdown_windows(row: Mapping[str, Any]) -> list[str]:
    numbers = (count(row["windows"]), count(row["attempts"]), duration(row["duration_ns"]))
    return [clean(row["class"]), VERDICTS[row["spurious"]], *numbers]


def _markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---" if place == 0 else "---:" for place in range(len(names))]
    return ["| " + " | ".join(_escaped(cells)) + " |" for cells in (names, rule, *rows)]


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]
