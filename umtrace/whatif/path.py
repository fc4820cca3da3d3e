"""The critical path of a teardown as it was simulated: what its end waited for, back to its begin.

The same as of `umtrace teardowns`, of the times of an outcome: the call that ended last; before it
the one that had the namespace lock while it waited; else the call before it of the same task; else
the last call of another task of the teardown that had ended before it began.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.whatif.load import Load
from umtrace.whatif.simulate import Outcome

#: a task that goes on within this time is taken to have waited for nobody in between
PAUSE_NS = 10_000_000
_NONE = -1


@dataclass(frozen=True, slots=True)
class Paths:
    """The critical paths of k teardowns, arrays of shape (k,).

    Attributes
    ----------
    calls : ndarray of int64
        Time in calls, ns: the path without the pauses between them.
    in_row : ndarray of int64
        Grace periods that are waited for on it, one after the other.
    """

    calls: Int64
    in_row: Int64


def paths(load: Load, outcome: Outcome) -> Paths:
    """Return the critical path of each teardown of a load, in the order of their numbers."""
    mine = np.flatnonzero(load.teardown >= 0)
    if not mine.size:
        return Paths(np.empty(0, np.int64), np.empty(0, np.int64))
    # Of calls that end at one time, the one that began first.
    order = np.lexsort((-outcome.begin[mine], outcome.returned[mine], load.teardown[mine]))
    ordered = mine[order]
    last = ordered[np.flatnonzero(np.diff(load.teardown[ordered], append=_NONE))]
    since = np.full(int(load.teardown.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(since, load.teardown[mine], outcome.begin[mine])
    walk = _Walk(load, outcome)
    found = [walk.back(at, begin) for at, begin in
             zip(last.tolist(), since[load.teardown[last]].tolist(), strict=True)]  # fmt: skip
    both = np.array(found, np.int64).reshape(-1, 2)
    return Paths(both[:, 0], both[:, 1])


class _Walk:
    """Goes back from the end of a teardown; lists are read faster than arrays."""

    def __init__(self, load: Load, outcome: Outcome) -> None:
        self._begin, self._returned = outcome.begin.tolist(), outcome.returned.tolist()
        self._unlocked, self._waits = outcome.unlocked.tolist(), outcome.waits.tolist()
        self._got = (outcome.unlocked - load.hold).tolist()
        self._holder = _holders(load, outcome).tolist()
        self._before = _before(load, outcome).tolist()
        self._teardown = load.teardown.tolist()

    def back(self, at: int, since: int) -> tuple[int, int]:
        """Return (ns in calls, grace periods) of the path that ends with operation ``at``."""
        own, until, calls, periods = self._teardown[at], self._returned[at], 0, 0
        whole = True
        while at >= 0 and until > since:
            holder = self._holder[at]
            begin = max(self._begin[at] if holder < 0 else self._got[at], since)
            calls += max(until - begin, 0)
            periods += whole and self._waits[at]
            whole = holder < 0
            if holder >= 0:
                at, until = holder, self._unlocked[holder]
            elif self._teardown[at] == own:
                at = self._before[at]
                until = min(self._returned[at], begin) if at >= 0 else since
            else:  # of another owner, which had the lock
                break
        return calls, periods


def _holders(load: Load, outcome: Outcome) -> Int64:
    """Return the operation that had the lock until each one got it; -1 where it did not wait."""
    found = np.full(len(load), _NONE, np.int64)
    order = np.lexsort((load.turn, outcome.unlocked))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    got = outcome.unlocked - load.hold
    waited = np.flatnonzero(got > outcome.begin + load.before)
    at = np.searchsorted(outcome.unlocked[order], got[waited], side="right") - 1
    at = np.minimum(at, place[waited] - 1)
    found[waited] = np.where(at >= 0, order[at], _NONE)
    return found


def _before(load: Load, outcome: Outcome) -> Int64:
    """Return the call of the teardown after which each one began; -1 for none."""
    found = _other(load, outcome)
    first = np.flatnonzero(load.after >= 0)
    first = first[load.teardown[first] == load.teardown[load.after[first]]]
    then = load.after[first]
    soon = outcome.begin[then] - outcome.returned[first] <= PAUSE_NS
    ended = np.where(found[then] >= 0, outcome.returned[found[then]], _NONE)
    same = soon | (outcome.returned[first] >= ended)
    found[then[same]] = first[same]
    return found


def _other(load: Load, outcome: Outcome) -> Int64:
    """Return the task of the teardown that ended last before each call began, by its last call."""
    found = np.full(len(load), _NONE, np.int64)
    mine = np.flatnonzero(load.teardown >= 0)
    order = mine[np.lexsort((outcome.returned[mine], load.tid[mine], load.teardown[mine]))]
    another = (np.diff(load.tid[order], append=_NONE) != 0) | (
        np.diff(load.teardown[order], append=_NONE) != 0
    )
    ends = order[another]
    both = np.concatenate((ends, mine))
    begins = np.arange(both.size) >= ends.size
    time = np.where(begins, outcome.begin[both], outcome.returned[both])
    order = np.lexsort((begins, time, load.teardown[both]))
    place = np.where(begins[order], _NONE, np.arange(order.size))
    last = np.maximum.accumulate(place)
    at = np.flatnonzero(begins[order] & (last >= 0))
    call, other = both[order[at]], both[order[last[at]]]
    fits = (load.teardown[call] == load.teardown[other]) & (
        outcome.begin[other] < outcome.begin[call]
    )
    found[call[fits]] = other[fits]
    return found
