"""Rows along the axis of time: how many, how long, and how many at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.stats.columns import durations, times
from umtrace.stats.placement import PLACED, place

Floats = npt.NDArray[np.float64]


def even_edges(begin: int, end: int, bins: int) -> Int64:
    """Return bin edges over a span of ns, at least 1 ns apart; the last lies beyond ``end``."""
    step = max(-(-(end + 1 - begin) // bins), 1)
    return begin + step * np.arange(bins + 1, dtype=np.int64)


def heat(batches: Iterable[pa.RecordBatch], column: str, time_edges: Int64, edges: Int64) -> Int64:
    """Count rows by when they began and how long ``column`` took.

    Returns
    -------
    ndarray of int64, shape (len(edges) - 1, len(time_edges) - 1)
        Rows in which it took no time, or is unknown, are not in it.
    """
    width, height = time_edges.size - 1, edges.size - 1
    counts = np.zeros(width * height, np.int64)
    for batch in batches:
        x = np.searchsorted(time_edges, times(batch), side="right") - 1
        y = np.searchsorted(edges, durations(batch, column), side="right") - 1
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        counts += np.bincount(y[inside] * width + x[inside], minlength=counts.size)
    return counts.reshape(height, width)


def in_flight(batches: Iterable[pa.RecordBatch], edges: Int64) -> Floats:
    """Return how many umounts were in each phase, on average over each bin of time.

    Parameters
    ----------
    batches : iterable of RecordBatch
        With ``t_start`` and the columns of `placement.COLUMNS`.
    edges : ndarray of int64, shape (k + 1,)
        Increasing, ns of UTC.

    Returns
    -------
    ndarray of float64, shape (len(PLACED), k)
        Phases in the order of `placement.PLACED`.
    """
    spent = np.zeros((len(PLACED), edges.size))
    for batch in batches:
        start = times(batch) - edges[0]
        begins, ends = place(batch)
        for number in range(len(PLACED)):
            lasting = ends[number] > begins[number]
            spent[number] += _spent_until(
                start[lasting] + begins[number][lasting],
                start[lasting] + ends[number][lasting],
                edges - edges[0],
            )
    return np.asarray(np.diff(spent, axis=1) / np.diff(edges))


def _spent_until(begins: Int64, ends: Int64, at: Int64) -> Floats:
    """Return the total length of the parts of all intervals that lie before each time."""
    return _reached(begins, at) - _reached(ends, at)


def _reached(moments: Int64, at: Int64) -> Floats:
    """Return the sum of ``t - moment`` over the moments before each time t."""
    moments = np.sort(moments)
    sums = np.concatenate([[0], np.cumsum(moments)])
    before = np.searchsorted(moments, at)
    return np.asarray(before * at - sums[before], np.float64)


def lanes(begins: Int64, ends: Int64) -> Int64:
    """Return a lane for each interval so that those of a lane do not overlap.

    As few lanes as there ever are intervals at once; earlier ones get lower lanes.
    """
    free_at: list[int] = []
    result = np.zeros(begins.size, np.int64)
    for place_ in np.argsort(begins, kind="stable").tolist():
        begin = int(begins[place_])
        lane = next((n for n, free in enumerate(free_at) if free <= begin), len(free_at))
        if lane == len(free_at):
            free_at.append(0)
        free_at[lane] = max(int(ends[place_]), begin + 1)
        result[place_] = lane
    return result
