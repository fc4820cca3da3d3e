"""A summary as a DataFrame."""

from __future__ import annotations

import pandas as pd

from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, Summary

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def summary_frame(summary: Summary) -> pd.DataFrame:
    """Return one row per group: counts, quantiles in ns, and the share of RCU, 0 to 1.

    Quantiles are of the umounts in which it took any time; missing is unknown.
    """
    rows = [_row(group) for group in summary.groups]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(_row(GroupSummary())))
    frame = frame.astype({name: _dtype(name) for name in frame.columns})
    for place, name in enumerate(summary.by):
        values = pd.Series([group.key[place] for group in summary.groups], dtype=object)
        frame.insert(place, name, values)
    return frame.set_index(list(summary.by)) if summary.by else frame


def _row(group: GroupSummary) -> dict[str, object]:
    row: dict[str, object] = {
        "umounts": group.count,
        "failed": group.n_failed,
        "incomplete": group.n_incomplete,
    }
    for column in (LATENCY, RCU):
        seen = group.metric(column).occurred
        short = column.removesuffix("_ns")
        row |= {f"{short}_{name}_ns": seen.quantile(q) for name, q in _QUANTILES.items()}
        row[f"{short}_max_ns"] = seen.max
    row["rcu_share"] = group.share(RCU)
    return row


def _dtype(name: str) -> str:
    return "Float64" if name == "rcu_share" else "Int64"
