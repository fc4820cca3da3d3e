"""Histograms of one column for many groups at once, with no Python per group or row."""

from __future__ import annotations

import numpy as np

from umtrace.stats import sparse
from umtrace.stats.buckets import BUCKETS, Int64, bucket_of, lower_bounds, upper_bounds
from umtrace.stats.histogram import Histogram
from umtrace.stats.totals import GroupSums, Halves, Totals, grown, halves

_NO_MIN = np.iinfo(np.int64).max
# Runs are merged when they outgrow what is merged already, so that each count is
# moved a logarithmic number of times; below this many it is not worth it.
_MERGE_FROM = 1 << 18


class GroupedHistogram:
    """One `Histogram` per group number, filled together.

    The key of a count is ``group * BUCKETS + bucket``. Memory grows with the buckets in
    use, not with the number of values.
    """

    __slots__ = ("_max", "_merged", "_min", "_pending", "_pending_size", "_sums")

    def __init__(self) -> None:
        self._merged = sparse.no_counts()
        self._pending: list[sparse.Counts] = []
        self._pending_size = 0
        self._sums = GroupSums()
        self._min = np.empty(0, np.int64)
        self._max = np.empty(0, np.int64)

    def add(self, groups: Int64, values: Int64, n_groups: int, sums: Halves | None = None) -> None:
        """Count each value in the histogram of its group; parameters as `GroupSums.add`.

        ``sums`` are those of the values by group, where the caller has them.
        """
        self._min = grown(self._min, n_groups, _NO_MIN)
        self._max = grown(self._max, n_groups, -1)
        if not values.size:
            return
        self._sums.add_halves(halves(groups, values, n_groups) if sums is None else sums)
        keys = bucket_of(values)
        keys += groups * BUCKETS
        run = sparse.count(keys, n_groups * BUCKETS)
        self._widen(run, groups, values)
        self._pending.append(run)
        self._pending_size += run.keys.size
        if self._pending_size > max(_MERGE_FROM, self._merged.keys.size):
            self._merge()

    def histogram(self, group: int) -> Histogram:
        """Return the histogram of one group, empty if it got no value."""
        self._merge()
        start, stop = np.searchsorted(
            self._merged.keys, [group * BUCKETS, (group + 1) * BUCKETS]
        ).tolist()
        if start == stop:
            return Histogram()
        keys = self._merged.keys[start:stop] - group * BUCKETS
        counts = self._merged.counts[start:stop]
        totals = Totals(
            count=int(counts.sum()),
            sum=self._sums[group],
            min=int(self._min[group]),
            max=int(self._max[group]),
        )
        return Histogram(sparse.Counts(keys, counts), totals)

    def _widen(self, run: sparse.Counts, groups: Int64, values: Int64) -> None:
        """Note the least and the greatest value of each group.

        The buckets of a batch say where it can have either; after the first batches, hardly ever.
        """
        edges = np.searchsorted(run.keys, np.arange(self._min.size + 1) * BUCKETS)
        has = np.flatnonzero(edges[:-1] < edges[1:])
        low, high = run.keys[edges[has]], run.keys[edges[has + 1] - 1]
        if (lower_bounds(low - has * BUCKETS) < self._min[has]).any():
            np.minimum.at(self._min, groups, values)
        if (upper_bounds(high - has * BUCKETS) > self._max[has]).any():
            np.maximum.at(self._max, groups, values)

    def _merge(self) -> None:
        if self._pending:
            self._merged = sparse.add_up([self._merged, *self._pending])
            self._pending, self._pending_size = [], 0
