"""Histogram of durations: mergeable without loss, quantiles within a stated error.

Why not a library. ``hdrhistogram`` fixes its range when made and records one value per
Python call; ``ddsketch`` does too, and collapses buckets, so that merging is no longer
exact; ``boost-histogram`` fills fast, but has fixed axes, no quantiles and no promise
about relative error. What is wanted here is 150 lines: count an array at a time, add
histograms of any two recordings, and say how wrong a quantile can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from umtrace.model.errors import DamagedInputError
from umtrace.stats import buckets, sparse
from umtrace.stats.buckets import Int64
from umtrace.stats.intervals import rank_interval
from umtrace.stats.totals import Totals


class Histogram:  # noqa: PLW1641  it changes, so it has no hash
    """Counts of non-negative int64 values (ns) in log-linear buckets.

    Count, sum, minimum and maximum are exact. A quantile is within
    ``buckets.RELATIVE_ERROR`` (0.4 %) of a value that was added. Memory grows with the
    distinct buckets used, 7,296 at most.
    """

    __slots__ = ("_counts", "_totals")

    def __init__(self, counts: sparse.Counts | None = None, totals: Totals | None = None) -> None:
        self._counts = sparse.no_counts() if counts is None else counts
        self._totals = Totals() if totals is None else totals

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Histogram:
        """Return the histogram of an array; see `add`."""
        histogram = cls()
        histogram.add(values)
        return histogram

    def add(self, values: npt.ArrayLike) -> None:
        """Count every value of an array of integers, shape (n,).

        Raises
        ------
        ValueError
            A value is negative, or not an integer; nothing was counted.
        """
        checked = _checked(values)
        if checked.size:
            numbers = sparse.count(buckets.bucket_of(checked), buckets.BUCKETS)
            self._counts = sparse.add_up([self._counts, numbers])
            self._totals += Totals.of(checked)

    def __add__(self, other: Histogram) -> Histogram:
        """Return both together, exactly as if all values had been added to one."""
        return Histogram(
            sparse.add_up([self._counts, other._counts]),
            self._totals + other._totals,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __len__(self) -> int:
        return self._totals.count

    def __repr__(self) -> str:
        return f"<Histogram of {self.count} values, {self.min} to {self.max}>"

    @property
    def count(self) -> int:
        """How many values were added."""
        return self._totals.count

    @property
    def sum(self) -> int:
        """Their sum, exact; it may exceed int64."""
        return self._totals.sum

    @property
    def min(self) -> int | None:
        """The smallest value, or None if there is none."""
        return self._totals.min

    @property
    def max(self) -> int | None:
        """The largest value, or None if there is none."""
        return self._totals.max

    @property
    def mean(self) -> float | None:
        """The arithmetic mean, or None if there is no value."""
        return self.sum / self.count if self.count else None

    @property
    def zeros(self) -> int:
        """How many of the values are 0."""
        keys, counts = self._counts
        return int(counts[0]) if keys.size and keys[0] == 0 else 0

    def without_zeros(self) -> Histogram:
        """Return the histogram of the values above 0.

        Its minimum is that of a bucket: exact below 256, else within 0.8 %.
        """
        if not self.zeros:
            return self
        keys, counts = self._counts.keys[1:], self._counts.counts[1:]
        if not keys.size:
            return Histogram()
        low = int(buckets.lower_bounds(keys[:1])[0])
        totals = Totals(count=self.count - self.zeros, sum=self.sum, min=low, max=self.max)
        return Histogram(sparse.Counts(keys, counts), totals)

    def quantile(self, q: float) -> int | None:
        """Return the smallest value that at least the fraction q of all do not exceed.

        Parameters
        ----------
        q : float
            From 0 (the minimum) to 1 (the maximum), both exact.

        Returns
        -------
        int or None
            Within 0.4 % of a value that was added; None if there is none.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is between 0 and 1, not {q}")
        return self._at_rank(max(math.ceil(q * self.count), 1), buckets.middles)

    def quantile_at_most(self, q: float) -> int | None:
        """Return what `quantile` stands for, rounded up: no smaller than the value itself."""
        return self._at_rank(max(math.ceil(q * self.count), 1), buckets.upper_bounds)

    def quantile_interval(
        self, q: float, confidence: float = 0.95
    ) -> tuple[int | None, int | None]:
        """Return a confidence interval of the q-quantile of what was sampled.

        From order statistics, so it assumes nothing about the distribution but that
        the values are independent. The bounds are widened to those of their buckets.

        Returns
        -------
        low, high : int or None
            None where there are too few values to bound that side.
        """
        if not 0 <= q <= 1 or not 0 < confidence < 1:
            raise ValueError(f"no interval for q={q} with confidence={confidence}")
        low, high = rank_interval(self.count, q, confidence)
        return (
            self._at_rank(low, buckets.lower_bounds),
            self._at_rank(high, buckets.upper_bounds),
        )

    def _at_rank(self, rank: int, place: Callable[[Int64], Int64]) -> int | None:
        if self.min is None or self.max is None or not 1 <= rank <= self.count:
            return None
        if rank in {1, self.count}:
            return self.min if rank == 1 else self.max
        at = np.searchsorted(np.cumsum(self._counts.counts), rank)
        value = int(place(self._counts.keys[at : at + 1])[0])
        return min(max(value, self.min), self.max)

    def at_ranks(self, ranks: Int64) -> Int64:
        """Return the values at these places in the order of size.

        Parameters
        ----------
        ranks : ndarray of int64, shape (k,)
            From 1, the smallest value, to ``count``.

        Returns
        -------
        ndarray of int64, shape (k,)
            Each within 0.4 % of the value that was added.
        """
        if ranks.size and not 1 <= int(ranks.min()) <= int(ranks.max()) <= self.count:
            raise ValueError(f"ranks are between 1 and {self.count}")
        at = np.searchsorted(np.cumsum(self._counts.counts), ranks)
        found = buckets.middles(self._counts.keys)[at]
        return np.clip(found, self.min, self.max)

    def cumulative(self) -> tuple[Int64, Int64]:
        """Return (values, counts): how many were at most each value.

        Returns
        -------
        values : ndarray of int64, shape (k,)
            The largest value of each bucket in use, the last one the maximum.
        counts : ndarray of int64, shape (k,)
            Increasing, the last one the count.
        """
        values = buckets.upper_bounds(self._counts.keys)
        if self.max is not None:
            values = np.minimum(values, self.max)
        return values, np.cumsum(self._counts.counts)

    def buckets(self) -> tuple[Int64, Int64, Int64]:
        """Return (lower, upper, count) of the buckets in use, int64 of shape (k,) each."""
        keys, counts = self._counts
        return buckets.lower_bounds(keys), buckets.upper_bounds(keys), counts.copy()

    def rebin(self, edges: npt.ArrayLike) -> Int64:
        """Count into wider bins, for drawing.

        A bucket goes whole to the bin its middle falls in, so that an edge acts as if
        it were off by at most 0.4 %; edges that are powers of two are exact.

        Parameters
        ----------
        edges : array_like, shape (k,)
            Increasing; a bin begins at its edge and ends before the next.

        Returns
        -------
        ndarray of int64, shape (k + 1,)
            Below the first edge, the k - 1 bins, from the last edge on: the sum is
            the count, nothing is left out.
        """
        bounds = np.asarray(edges)
        into = np.searchsorted(bounds, buckets.middles(self._counts.keys), side="right")
        result = np.zeros(bounds.size + 1, np.int64)
        np.add.at(result, into, self._counts.counts)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "sub_bits": buckets.SUB_BITS,
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "buckets": self._counts.keys.tolist(),
            "counts": self._counts.counts.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Histogram:
        """Return the histogram that `to_dict` wrote.

        Raises
        ------
        DamagedInputError
            A field is missing, or they contradict each other.
        """
        try:
            counts = sparse.Counts(
                np.asarray(data["buckets"], np.int64), np.asarray(data["counts"], np.int64)
            )
            totals = Totals(**{name: data[name] for name in ("count", "sum", "min", "max")})
            sub_bits = data["sub_bits"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedInputError(f"not a histogram: {error}") from error
        _check_consistent(counts, totals, sub_bits)
        return cls(counts, totals)


def _checked(values: npt.ArrayLike) -> Int64:
    array = np.asarray(values)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"a histogram counts integers, not {array.dtype}")
    if array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError("a histogram counts values below 2**63")
    if int(array.min()) < 0:
        raise ValueError("a histogram counts durations, and one is negative")
    return array.astype(np.int64, copy=False).ravel()


def _check_consistent(counts: sparse.Counts, totals: Totals, sub_bits: object) -> None:
    keys = counts.keys
    fits = (
        sub_bits == buckets.SUB_BITS
        and keys.ndim == 1
        and keys.shape == counts.counts.shape
        and int(counts.counts.sum()) == totals.count
        and bool(np.all(np.diff(keys) > 0))
        and bool(np.all((keys >= 0) & (keys < buckets.BUCKETS)))
        and bool(np.all(counts.counts > 0))
    )
    if not fits:
        raise DamagedInputError("not a histogram: its buckets and counts do not add up")
