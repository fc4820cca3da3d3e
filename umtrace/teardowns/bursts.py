"""Which rows belong to one teardown: one owner, no pause longer than a bound, one namespace."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.stats.running_end import running_end
from umtrace.teardowns.rows import Bools

#: a longer pause between two umounts of one owner separates two teardowns
GAP_NS = 1_000_000_000


def bursts(owner: Int64, begin: Int64, end: Int64, closes: Bools, gap_ns: int = GAP_NS) -> Int64:
    """Return the number of the burst of each row.

    Parameters
    ----------
    owner : ndarray of int64, shape (n,)
        Rows of different owners are in different bursts.
    begin, end : ndarray of int64, shape (n,)
        A row belongs to those before it if it begins at most ``gap_ns`` after the last of their
        ends.
    closes : ndarray of bool, shape (n,)
        Rows that end their owner: what begins after their end has another one, which got the
        same number.

    Returns
    -------
    ndarray of int64, shape (n,)
        From 0, by owner, and by begin for each.
    """
    if not owner.size:
        return np.empty(0, np.int64)
    order = np.lexsort((end, begin, owner))
    own, start = owner[order], begin[order]
    lives = _closed_before(owner, begin, end, closes)[order]
    new = np.ones(owner.size, np.bool_)
    new[1:] = (own[1:] != own[:-1]) | (lives[1:] != lives[:-1])
    reached = running_end(np.cumsum(new), end[order])
    new[1:] |= start[1:] > reached[:-1] + gap_ns
    numbers = np.empty(owner.size, np.int64)
    numbers[order] = np.cumsum(new) - 1
    return numbers


def _closed_before(owner: Int64, begin: Int64, end: Int64, closes: Bools) -> Int64:
    """Return how many closing rows, of this and earlier owners, ended before each row began."""
    if not closes.any():
        return np.zeros(owner.size, np.int64)
    who = np.concatenate([owner, owner[closes]])
    when = np.concatenate([begin, end[closes]])
    is_begin = np.arange(who.size) < owner.size
    order = np.lexsort((is_begin, when, who))
    counted = np.empty(who.size, np.int64)
    counted[order] = np.cumsum(~is_begin[order])
    return np.asarray(counted[: owner.size])
