"""The latest end so far, group by group."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import Int64


def running_end(group: Int64, end: Int64) -> Int64:
    """Return the latest end so far of each group's rows, shape (n,); ``group`` is sorted."""
    by_end = np.argsort(end, kind="stable")
    rank = np.empty(end.size, np.int64)
    rank[by_end] = np.arange(end.size)
    latest = np.maximum.accumulate(group * end.size + rank) - group * end.size
    return np.asarray(end[by_end[latest]])
