"""Which rows belong to one teardown: one owner, no pause longer than a bound, one namespace."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.stats.running_end import running_end
from umtrace.teardowns.rows import Bools

#: a longer pause between two umounts of one owner separates two teardowns
GAP_NS = 1_000_000_000


def bursts(owner: Int64, begin: Int64, end: Int64, ends: Int64, gap_ns: int = GAP_NS) -> Int64:
    """Return the number of the burst of each row.

    Parameters
    ----------
    owner : ndarray of int64, shape (n,)
        Rows of different owners are in different bursts.
    begin, end : ndarray of int64, shape (n,)
        A row belongs to those before it if it begins at most ``gap_ns`` after the last of their
        ends.
    ends : ndarray of int64, shape (n,)
        The owner that a row ends, -1 for none: what begins after the end of that row has another
        owner, which got the same number.

    Returns
    -------
    ndarray of int64, shape (n,)
        From 0, by owner, and by begin for each.
    """
    if not owner.size:
        return np.empty(0, np.int64)
    order = _by_owner_and_begin(owner, begin)
    own, start = owner[order], begin[order]
    lives = _ended_before(owner, begin, end, ends)[order]
    new = np.ones(owner.size, np.bool_)
    new[1:] = (own[1:] != own[:-1]) | (lives[1:] != lives[:-1])
    reached = running_end(np.cumsum(new), end[order])
    new[1:] |= start[1:] > reached[:-1] + gap_ns
    numbers = np.empty(owner.size, np.int64)
    numbers[order] = np.cumsum(new) - 1
    return numbers


def _by_owner_and_begin(owner: Int64, begin: Int64) -> Int64:
    """Return the order; numbers of two bytes are sorted several times as fast."""
    order = np.argsort(begin, kind="stable")
    keys = owner.astype(np.int16) if int(owner.max()) < 1 << 15 else owner
    return np.asarray(order[np.argsort(keys[order], kind="stable")])


def ended(tid: Int64, owner: Int64, begin: Int64, exits: Bools, is_space: Bools) -> Int64:
    """Return the namespace that each row ends, -1 for none: what `bursts` takes.

    An end of a namespace whose number is not known, as where a task goes back to its own by
    setns(2), is of the namespace in which the task unmounted last, if it never does so again.

    Parameters
    ----------
    tid, owner, begin : ndarray of int64, shape (n,)
        ``owner`` is -1 where none is known.
    exits : ndarray of bool, shape (n,)
        Rows that are the end of a mount namespace.
    is_space : ndarray of bool, shape (n,)
        Whether the owner is a namespace.
    """
    found = np.where(exits & is_space, owner, -1)
    unknown = exits & (owner < 0)
    if not unknown.any():
        return found
    order = np.lexsort((begin, tid))
    place = np.maximum.accumulate(np.where(is_space[order], np.arange(owner.size), -1))
    before = np.empty(owner.size, np.int64)  # row of the last umount in a namespace
    before[order] = np.where(place >= 0, order[place], -1)
    known = unknown & (before >= 0) & (tid[before] == tid)
    known &= _latest(tid, owner, begin)[before] < begin
    return np.where(known, owner[before], found)


def _latest(tid: Int64, owner: Int64, begin: Int64) -> Int64:
    """Return for each row when a task last began to unmount in the namespace."""
    _, group = np.unique(np.stack([tid, owner]), axis=1, return_inverse=True)
    group = group.reshape(-1)
    latest = np.full(int(group.max()) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, group, begin)
    return np.asarray(latest[group])


def _ended_before(owner: Int64, begin: Int64, end: Int64, ends: Int64) -> Int64:
    """Return how many rows that end its owner, or an earlier one, ended before each row began."""
    closes = ends >= 0
    if not closes.any():
        return np.zeros(owner.size, np.int64)
    who = np.concatenate([owner, ends[closes]])
    when = np.concatenate([begin, end[closes]])
    is_begin = np.arange(who.size) < owner.size
    order = np.lexsort((is_begin, when, who))
    counted = np.empty(who.size, np.int64)
    counted[order] = np.cumsum(~is_begin[order])
    return np.asarray(counted[: owner.size])
