"""The simulation: one pass over the umounts in the order in which they get the namespace lock.

The lock is a queue, so what an umount does depends on earlier ones only. That makes one step of an
umount: it gets the lock, holds it, and asks for its grace period as it drops the lock.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from umtrace.model.arrow import Bools
from umtrace.stats.buckets import Int64
from umtrace.whatif.designs import Design
from umtrace.whatif.grace import NormalGracePeriods, shut_down_in_turn
from umtrace.whatif.load import FREE, LAZY, TEARDOWN, Load

_UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of n operations; arrays of shape (n,), ns as int64 from the begin of the load.

    Attributes
    ----------
    begin, unlocked, returned, gone : ndarray
        When each one begins, drops the lock, is back in user mode, and when its file system is
        shut down; ``gone`` is -1 where that is unknown, since no length of a normal grace period
        is known.
    deferred, waits : ndarray of bool
        Put by a work item; waits for a grace period in the call.
    queued : ndarray
        How long a deferred shutdown waited for those of others; -1 unknown or not deferred.
    grace_periods : int or None
        How many were needed; None is unknown.
    """

    begin: Int64
    unlocked: Int64
    returned: Int64
    gone: Int64
    deferred: Bools
    waits: Bools
    queued: Int64
    grace_periods: int | None

    @property
    def caller(self) -> Int64:
        """How long each caller waited, ns."""
        waited: Int64 = self.returned - self.begin
        return waited


def deferred_by(design: Design, load: Load) -> Bools:
    """Return which operations a design puts by a work item."""
    if design.defers_all:
        late: Bools = load.succeeded & (load.waited | (load.kind == TEARDOWN))
    else:
        late = load.succeeded & (load.kind == LAZY) & design.defers_lazy
    return late


def simulate(
    load: Load,
    design: Design,
    *,
    lengths: Int64 | None = None,
    jiffy_ns: int,
    closed: bool = True,
    seed: int = 0,
) -> Outcome:
    """Return what becomes of the load under a design.

    Parameters
    ----------
    lengths : ndarray of int64, optional
        Lengths of normal grace periods on the host, ns, one at least. Without them deferred
        umounts have no known end.
    closed : bool
        A task begins its next umount its recorded pause after the previous one has returned; else
        at its recorded time.
    """
    deferred = deferred_by(design, load)
    waits = load.waited & ~deferred
    if design.on_demand:
        waits &= load.held != FREE
    grace = None if lengths is None or not lengths.size else NormalGracePeriods(lengths, seed)
    # A normal wait is recorded as it was beside others; it changes if work items ask as well.
    asks = deferred | (waits & load.normal & design.defers)
    begin, unlocked, returned, end = _pass(load, waits, deferred, asks, grace, closed=closed)
    gone, queued = _shutdowns(load, design, deferred, returned, end, jiffy_ns)
    return Outcome(
        begin=begin,
        unlocked=unlocked,
        returned=returned,
        gone=gone,
        deferred=deferred,
        waits=waits,
        queued=queued,
        grace_periods=_grace_periods(load, waits, asks, grace),
    )


def _pass(
    load: Load,
    waits: Bools,
    deferred: Bools,
    asks: Bools,
    grace: NormalGracePeriods | None,
    *,
    closed: bool,
) -> tuple[Int64, Int64, Int64, Int64]:
    """Return begin, unlock, return, and the end of the grace period that was asked for."""
    n = len(load)
    begins, unlocked, returned = load.begin.tolist(), [0] * n, [0] * n
    ends = [_UNKNOWN] * n
    before, hold, after = load.before.tolist(), load.hold.tolist(), load.after.tolist()
    wait = np.where(waits, load.rcu, 0).tolist()
    in_call = load.rest + np.where(deferred, 0, load.put + load.shutdown)
    rest, ask, late = in_call.tolist(), asks.tolist(), deferred.tolist()
    pause, turn = _pauses(load), load.turn.tolist()
    of_turn = np.argsort(load.turn).tolist()
    queue = [(begins[i] + before[i], turn[i]) for i in _firsts(load, closed=closed)]
    heapq.heapify(queue)
    free = 0
    while queue:
        now, number = heapq.heappop(queue)
        i = of_turn[number]
        now = free = max(now, free) + hold[i]
        unlocked[i] = now
        if ask[i] and grace is not None:
            ends[i] = grace.request(now)
        done = ends[i] if ask[i] and not late[i] and grace is not None else now + wait[i]
        returned[i] = done + rest[i]
        following = after[i] if closed else -1
        if following >= 0:
            begins[following] = returned[i] + pause[i]
            heapq.heappush(queue, (begins[following] + before[following], turn[following]))
    return tuple(np.array(each, np.int64) for each in (begins, unlocked, returned, ends))  # type: ignore[return-value]


def _firsts(load: Load, *, closed: bool) -> list[int]:
    """Return the operations whose begin is recorded and stays."""
    if not closed:
        return list(range(len(load)))
    follows = np.zeros(len(load), np.bool_)
    follows[load.after[load.after >= 0]] = True
    firsts: list[int] = np.flatnonzero(~follows).tolist()
    return firsts


def _pauses(load: Load) -> list[int]:
    """Return how long each task paused, as recorded, before its next operation."""
    has, pause = load.after >= 0, np.zeros(len(load), np.int64)
    pause[has] = load.begin[load.after[has]] - (load.begin + load.recorded)[has]
    pauses: list[int] = np.maximum(pause, 0).tolist()
    return pauses


def _shutdowns(
    load: Load, design: Design, deferred: Bools, returned: Int64, end: Int64, jiffy_ns: int
) -> tuple[Int64, Int64]:
    """Return when each file system is shut down, and how long that waited for others."""
    gone, queued = returned.copy(), np.full(len(load), _UNKNOWN, np.int64)
    late = np.flatnonzero(deferred)
    gone[late] = _UNKNOWN
    if not late.size or (end[late] < 0).any():
        return gone, queued
    length = (load.put + load.shutdown)[late]
    if design.in_turn:
        order = np.argsort(end[late], kind="stable")
        late, length = late[order], length[order]
        gone[late] = shut_down_in_turn(end[late], length, jiffy_ns)
        queued[late] = np.maximum(gone[late] - length - end[late] - jiffy_ns, 0)
    else:
        gone[late], queued[late] = end[late] + length, 0
    return gone, queued


def _grace_periods(
    load: Load, waits: Bools, asks: Bools, grace: NormalGracePeriods | None
) -> int | None:
    """Return how many grace periods are needed at least.

    Those with the same number count once, and one that another task had asked for not at all
    where it has no number.
    """
    if asks.any() and grace is None:
        return None
    recorded = waits & ~asks
    numbers = load.gp[recorded]
    alone = (numbers < 0) & ~load.joined[recorded]
    known = np.unique(numbers[numbers >= 0]).size + np.count_nonzero(alone)
    return int(known) + (grace.count if grace is not None else 0)
