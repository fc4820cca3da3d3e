"""A report as JSON, for programs.

Stable from version 1 on: keys are added, none changes. Null is unknown, durations are ns, shares
0 to 1. A point in time has two keys: ``start`` is ISO 8601 in UTC, ``start_ns`` is ns since the
epoch. ``losses`` and ``meta`` are always there; every other key is a section::

    {"groups": [{
        "key": {"mode": "sync"},
        "count": 41, "incomplete": 0, "upper_bound": 0, "outcome_unknown": 0,
        "errno": {"EBUSY": 7},
        "latency_ns": TIMES, "rcu_ns": TIMES, "rcu_share": 0.12,
        "phases": {"lookup_ns": TIMES and "share", ...}}],
     "phases": {"lookup_ns": TIMES and "share", ...},
     "histograms": [{"duration": "rcu_ns", "key": {"mode": "sync"},
                     "bins": [[LOW, HIGH, COUNT], ...]}],
     "ebusy": {"windows": [{"class": "held", "spurious": false, "windows": 3,
                            "attempts": 9, "duration_ns": 7000}], "counters": WALKERS},
     "walkers": {"umounts": 198, "discounted": 1, ...},
     "teardowns": {"teardowns": 20, "by_kind": {"container": 20}, "longest": [NUMBERS, ...]},
     "insights": [{"insight": "retries", "text": ..., "weight_ns": 9, "rows": [8], "n_rows": 1}],
     "losses": {"ring_events": 0, ...},
     "meta": {"source": ..., "kernel": ..., "problems": [...], ...}}

TIMES is ``{"n", "n_zero", "n_null", "p50", "p90", "p99", "max", "mean"}``, as
`umtrace.present.times` says. LOW and HIGH are null where a bin has no end; empty bins
are left out. NUMBERS are the columns of `umtrace.teardowns.SCHEMA`. The key of a
histogram is empty where it is that of all groups together.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from umtrace.model.clock import utc
from umtrace.present.escaped import to_json, with_times
from umtrace.present.heading import Heading
from umtrace.present.report.section import Report

_EPOCH, _US = utc(0), timedelta(microseconds=1)


def report_json(report: Report) -> str:
    """Return JSON text in ASCII, ending in a newline."""
    return to_json(report_dict(report))


def report_dict(report: Report) -> dict[str, Any]:
    """Return the mapping that the module's docstring describes."""
    return {**{each.name: each.data for each in report.sections}, **head_dict(report.heading)}


def head_dict(heading: Heading) -> dict[str, Any]:
    """Return ``losses`` and ``meta``, which every JSON about a recording has."""
    values = {f.name: getattr(heading, f.name) for f in fields(heading) if f.name != "losses"}
    meta = {name: _plain(value) for name, value in values.items()}
    return {"losses": heading.losses.to_dict(), "meta": with_times(meta)}


def _plain(value: Any) -> Any:
    """Return a date as ns since the epoch, in whole µs; anything else as it is."""
    return (value - _EPOCH) // _US * 1000 if isinstance(value, datetime) else value
