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

_UNKNOWN = NO_PERIOD = -1
#: operations of passes that are kept for a design with the same ones; the newest always is
_KEPT = 200_000


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
    period : ndarray or None
        A number for the grace period that each one waits for, in the call or later, from 0 on
        without a gap; -1 for those without one of their own. None is unknown.
    """

    begin: Int64
    unlocked: Int64
    returned: Int64
    gone: Int64
    deferred: Bools
    waits: Bools
    queued: Int64
    period: Int64 | None

    @property
    def grace_periods(self) -> int | None:
        """How many grace periods are needed at least."""
        if self.period is None:
            return None
        return int(self.period.max(initial=NO_PERIOD)) + 1

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
    """Return what becomes of the load under a design; see `Simulator`."""
    simulator = Simulator(load, jiffy_ns=jiffy_ns, closed=closed)
    return simulator.run(design, lengths=lengths, seed=seed)


class Simulator:
    """Runs one load under several designs.

    Parameters
    ----------
    closed : bool
        A task begins its next umount its recorded pause after the previous one has returned; else
        at its recorded time.
    """

    def __init__(self, load: Load, *, jiffy_ns: int, closed: bool = True) -> None:
        self.load, self._jiffy_ns, self._closed = load, jiffy_ns, closed
        self._lists: _Lists | None = None
        self._passes: dict[tuple[object, ...], _Pass] = {}

    def run(self, design: Design, *, lengths: Int64 | None = None, seed: int = 0) -> Outcome:
        """Return what becomes of the load under a design.

        Parameters
        ----------
        lengths : ndarray of int64, optional
            Lengths of normal grace periods on the host, ns, one at least. Without them deferred
            umounts have no known end.
        """
        load, known = self.load, lengths is not None and lengths.size > 0
        deferred = deferred_by(design, load)
        waits = load.waited & ~deferred
        if design.on_demand:
            waits &= load.held != FREE
        # A normal wait is recorded as it was beside others; it changes if work items ask as well.
        asks = deferred | (waits & load.normal & design.defers)
        # Designs that differ only in how they shut file systems down have the same umounts.
        drawn = lengths.tobytes() if lengths is not None and asks.any() else b""
        key = (design.defers_lazy, design.defers_all, design.on_demand, drawn, seed)
        if key not in self._passes:
            grace = NormalGracePeriods(lengths, seed) if lengths is not None and known else None
            while self._passes and (len(self._passes) + 1) * len(load) > _KEPT:
                del self._passes[next(iter(self._passes))]
            self._passes[key] = self._pass(waits, deferred, asks, grace)
        done = self._passes[key]
        gone, queued = _shutdowns(load, design, deferred, done.returned, done.end, self._jiffy_ns)
        return Outcome(
            begin=done.begin,
            unlocked=done.unlocked,
            returned=done.returned,
            gone=gone,
            deferred=deferred,
            waits=waits,
            queued=queued,
            period=_periods(load, waits, asks, done.end) if known or not asks.any() else None,
        )

    def _pass(
        self, waits: Bools, deferred: Bools, asks: Bools, grace: NormalGracePeriods | None
    ) -> _Pass:
        """Go through the operations in the order in which they get the namespace lock."""
        if self._lists is None:
            self._lists = _Lists(self.load, closed=self._closed)
        lists, load, n = self._lists, self.load, len(self.load)
        begins, unlocked, returned = load.begin.tolist(), [0] * n, [0] * n
        ends = [_UNKNOWN] * n
        before, hold, after, pause = lists.before, lists.hold, lists.after, lists.pause
        turn, of_turn, bits, mask = lists.turn, lists.of_turn, lists.bits, (1 << lists.bits) - 1
        ask, stays = asks.tolist(), (~deferred).tolist()
        wait = np.where(waits, load.rcu, 0).tolist()
        rest = (load.rest + np.where(deferred, 0, load.put + load.shutdown)).tolist()
        request = None if grace is None else grace.request
        # One number for the time and the turn, since tuples take twice as long to compare.
        queue = [((begins[i] + before[i]) << bits) | turn[i] for i in lists.firsts]
        heapq.heapify(queue)
        pop, replace = heapq.heappop, heapq.heapreplace
        free = 0
        while queue:
            number = queue[0]
            i = of_turn[number & mask]
            now = number >> bits
            now = free = (now if now > free else free) + hold[i]
            unlocked[i] = now
            done = now + wait[i]
            if ask[i] and request is not None:
                ends[i] = request(now)
                done = ends[i] if stays[i] else now
            returned[i] = done = done + rest[i]
            following = after[i]
            if following >= 0:
                begins[following] = begin = done + pause[i]
                replace(queue, ((begin + before[following]) << bits) | turn[following])
            else:
                pop(queue)
        return _Pass(*(np.array(each, np.int64) for each in (begins, unlocked, returned, ends)))


@dataclass(frozen=True, slots=True)
class _Pass:
    """Begin, unlock and return of each operation, and the end of the period it asked for."""

    begin: Int64
    unlocked: Int64
    returned: Int64
    end: Int64


class _Lists:
    """What all passes over a load need, as lists, whose elements are read faster."""

    def __init__(self, load: Load, *, closed: bool) -> None:
        self.before, self.hold = load.before.tolist(), load.hold.tolist()
        self.after = load.after.tolist() if closed else [-1] * len(load)
        self.pause, self.firsts = _pauses(load), _firsts(load, closed=closed)
        self.turn, self.of_turn = load.turn.tolist(), np.argsort(load.turn).tolist()
        self.bits = max(len(load), 1).bit_length()


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


def _periods(load: Load, waits: Bools, asks: Bools, end: Int64) -> Int64:
    """Return a number for the grace period of each operation; -1 for none of its own.

    Those with the same recorded number share one. One that another task had asked for is not
    counted where it has no number. A simulated one is known by its end.
    """
    period = np.full(len(load), NO_PERIOD, np.int64)
    recorded = waits & ~asks
    first = 0
    for which, names in ((recorded & (load.gp >= 0), load.gp), (asks & (end >= 0), end)):
        if which.any():
            period[which] = first + _numbered(names[which])
            first = int(period.max()) + 1
    alone = recorded & (load.gp < 0) & ~load.joined
    period[alone] = first + np.arange(int(np.count_nonzero(alone)))
    return period


def _numbered(names: Int64) -> Int64:
    """Return a number from 0 on for each distinct value."""
    order = np.argsort(names, kind="stable")
    numbers = np.empty(names.size, np.int64)
    numbers[order] = np.cumsum(np.diff(names[order], prepend=names[order[0]]) != 0)
    return numbers
