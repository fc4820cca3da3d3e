"""Count, sum, minimum and maximum of an array, exact for any int64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from umtrace.stats.buckets import Int64

_HALF = 32
_LOW = (1 << _HALF) - 1
_EXACT_FLOAT = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a histogram knows exactly; minimum and maximum are None without values."""

    count: int = 0
    sum: int = 0
    min: int | None = None
    max: int | None = None

    @classmethod
    def of(cls, values: Int64) -> Totals:
        """Return the totals of a non-empty array of non-negative int64, shape (n,)."""
        return cls(
            count=int(values.size),
            sum=exact_sum(values),
            min=int(values.min()),
            max=int(values.max()),
        )

    def __add__(self, other: Totals) -> Totals:
        """Return the totals of both."""
        return Totals(
            count=self.count + other.count,
            sum=self.sum + other.sum,
            min=_pick(min, self.min, other.min),
            max=_pick(max, self.max, other.max),
        )


def exact_sum(values: Int64) -> int:
    """Return the sum of non-negative int64 values, shape (n,), without overflow."""
    # Half words: each half's sum stays in int64 for fewer than 2**31 values.
    return (int((values >> _HALF).sum()) << _HALF) + int((values & _LOW).sum())


class Halves(NamedTuple):
    """Sums by group, int64 of shape (n_groups,): ``high * 2**32 + low``; None is no high part."""

    low: Int64
    high: Int64 | None = None


def halves(groups: Int64, values: Int64, n_groups: int) -> Halves:
    """Return the exact sums of non-negative values by group; parameters as `GroupSums.add`."""
    if not values.size or int(values.max()) < _EXACT_FLOAT // values.size:
        return Halves(_by_group(groups, values, n_groups))
    low, high = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    # bincount adds in float64: exact for 2**20 half words, whose sum is below 2**52.
    for start in range(0, values.size, 1 << 20):
        group, value = groups[start : start + (1 << 20)], values[start : start + (1 << 20)]
        low += _by_group(group, value & _LOW, n_groups)
        high += _by_group(group, value >> _HALF, n_groups)
    return Halves(low, high)


class GroupSums:
    """Exact sums of non-negative int64 values, one for each group."""

    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        self._high = np.zeros(0, np.int64)
        self._low = np.zeros(0, np.int64)

    def add(self, groups: Int64, values: Int64, n_groups: int) -> None:
        """Add each value to its group's sum.

        Parameters
        ----------
        groups, values : ndarray of int64, shape (n,)
            Group numbers below ``n_groups``, and non-negative values.
        n_groups : int
            Never less than in an earlier call.
        """
        self.add_halves(halves(groups, values, n_groups))

    def add_halves(self, more: Halves) -> None:
        """Add sums that were made once for several of these."""
        self._low = grown(self._low, more.low.size, 0)
        self._high = grown(self._high, more.low.size, 0)
        self._low += more.low
        if more.high is not None:
            self._high += more.high

    def __getitem__(self, group: int) -> int:
        """Return one group's sum; 0 for a group without values."""
        if group >= self._low.size:
            return 0
        return (int(self._high[group]) << _HALF) + int(self._low[group])


def grown(array: Int64, size: int, fill: int) -> Int64:
    """Return the array at this size or larger, new places filled."""
    if array.size >= size:
        return array
    return np.concatenate([array, np.full(size - array.size, fill, np.int64)])


def _by_group(groups: Int64, values: Int64, n_groups: int) -> Int64:
    return np.bincount(groups, weights=values, minlength=n_groups).astype(np.int64)


def _pick(better: Callable[[int, int], int], left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return left if right is None else right
    return better(left, right)
