"""The latest end so far, group by group."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import Int64

#: a number that fits an int64, with room for one addition
_ROOM = 1 << 62


def running_end(group: Int64, end: Int64) -> Int64:
    """Return the latest end so far of each group's rows, shape (n,); ``group`` is sorted."""
    if not end.size:
        return end
    least = int(end.min())
    span = int(end.max()) - least + 1
    if (int(group[-1]) + 1) * span < _ROOM:  # a time of a later group is always the later one
        before = group * span - least
        return np.asarray(np.maximum.accumulate(end + before) - before)
    by_end = np.argsort(end, kind="stable")
    rank = np.empty(end.size, np.int64)
    rank[by_end] = np.arange(end.size)
    latest = np.maximum.accumulate(group * end.size + rank) - group * end.size
    return np.asarray(end[by_end[latest]])
