"""Normal grace periods: one at a time; who asks during one waits for the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from umtrace.stats.buckets import Int64

_NEVER = -1


class NormalGracePeriods:
    """Gives each request the end of its grace period; requests come in the order of time.

    Parameters
    ----------
    lengths : ndarray of int64
        Lengths of normal grace periods, ns; drawn from in turn, in a shuffled order.
    seed : int
        Of the order.
    """

    def __init__(self, lengths: Int64, seed: int) -> None:
        self._lengths = _endless(lengths, seed)
        self._end = _NEVER  #: of the newest one that has begun
        self._next_end = _NEVER  #: of the one after it, if somebody has asked for it
        self.count = 0

    def request(self, now: int) -> int:
        """Return when the grace period ends that a request at ``now`` waits for."""
        if self._next_end != _NEVER and now >= self._end:  # the next one has begun
            self._end, self._next_end = self._next_end, _NEVER
        if now >= self._end:
            self._end = now + self._length()
            return self._end
        if self._next_end == _NEVER:
            self._next_end = self._end + self._length()
        return self._next_end

    def _length(self) -> int:
        self.count += 1
        return next(self._lengths)


def _endless(lengths: Int64, seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(lengths).tolist()


def shut_down_in_turn(ready: Int64, length: Int64, jiffy_ns: int) -> Int64:
    """Return when each of n file systems is shut down by one work item.

    ``delayed_mntput_work`` runs a jiffy after the first mount was added to an empty list, takes
    the whole list, and runs again only when it has ended.

    Parameters
    ----------
    ready : ndarray of int64, shape (n,)
        When each mount is added, ns, ascending.
    length : ndarray of int64, shape (n,)
        How long each shutdown takes, ns.
    """
    ends = np.empty_like(ready)
    free = 0  # when the work item has ended what it had begun
    begun = _NEVER  # when the batch that is collected begins
    first = 0
    times, lengths = ready.tolist(), length.tolist()
    for place, now in enumerate(times):
        if begun != _NEVER and now > begun:
            free = _run(ends, lengths, first, place, begun)
            begun = _NEVER
        if begun == _NEVER:
            first, begun = place, max(now + jiffy_ns, free)
    if begun != _NEVER:
        _run(ends, lengths, first, len(times), begun)
    return ends


def _run(ends: Int64, lengths: list[int], first: int, last: int, begun: int) -> int:
    """Shut down one batch; return when it is done."""
    now = begun
    for place in range(first, last):
        now += lengths[place]
        ends[place] = now
    return now
