"""How much time some intervals cover together: where they overlap, it counts once."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import Int64

_LATEST = np.iinfo(np.int64).max


class Covered:
    """The union of intervals; memory grows with those that are apart from one another."""

    def __init__(self) -> None:
        self._begin, self._end = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, begin: Int64, lasted: Int64) -> None:
        """Take intervals into account.

        Parameters
        ----------
        begin, lasted : ndarray of int64, shape (n,)
            ns since the epoch, and ns; what is negative counts as 0.
        """
        begin, lasted = np.maximum(begin, 0), np.maximum(lasted, 0)
        end = begin + np.minimum(lasted, _LATEST - begin)
        begin, end = np.append(self._begin, begin), np.append(self._end, end)
        if not begin.size:
            return
        order = np.argsort(begin, kind="stable")
        begin, reached = begin[order], np.maximum.accumulate(end[order])
        first = np.append(True, begin[1:] > reached[:-1])
        self._begin, self._end = begin[first], reached[np.append(first[1:], True)]

    @property
    def ns(self) -> int:
        """The time that they cover."""
        return int((self._end - self._begin).sum())
