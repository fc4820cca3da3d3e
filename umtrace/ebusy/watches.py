"""Walks and puts of busy mounts, by watch: what came first in a watch is what decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from umtrace.ebusy.holes import Holes
from umtrace.model.evidence import Walk

MOST_OF_WATCH = 256  #: the probes send about 90 in a watch, and one more at each EBUSY
_LEAST_OF_WATCH = 16
_MOST_IN_ALL = 16384
_SILENCE_NS = 1_000_000_000  # a mount is watched for that long after a busy check
_STALE_NS = 60_000_000_000


@dataclass(slots=True)
class _Watch:
    arming: int | None
    last_ns: int
    walks: list[Walk] = field(default_factory=list)
    over: bool = False
    cut_ns: int | None = None  # the time of the first walk that was dropped

    def ended_before(self, walk: Walk) -> bool:
        """Whether a walk belongs to a later watch. Only puts and returns have a number."""
        renumbered = None not in {walk.arming, self.arming} and walk.arming != self.arming
        return self.over or renumbered or walk.ts_ns - self.last_ns > _SILENCE_NS

    def add(self, walk: Walk) -> None:
        self.arming = self.arming or walk.arming
        self.last_ns = max(self.last_ns, walk.ts_ns)
        self.over = walk.left == 1 or (walk.what == "returned" and walk.left is None)
        self.walks.append(walk)

    def cut(self, most: int) -> int:
        """Drop the newest walks beyond so many, and return how many that were."""
        rest = self.walks[most:]
        if rest:
            self.cut_ns = min(rest[0].ts_ns, self.cut_ns or rest[0].ts_ns)
            del self.walks[most:]
        return len(rest)


class Watches:
    """Bounded: 256 walks of each watch, and 16384 in all; where there are more, fewer of each.

    The newest of a watch is dropped first. A verdict that needs what came later is then unknown.
    Which walks of a watch are kept does not depend on when the rows come.

    Parameters
    ----------
    needed_since_ns : callable
        Returns the time from which on walks are needed for the windows that are open, or None.

    Attributes
    ----------
    dropped : int
        Walks that were dropped before they were asked for.
    """

    def __init__(self, needed_since_ns: Callable[[], int | None] = lambda: None) -> None:
        self._needed_since_ns = needed_since_ns
        self._of: dict[int, list[_Watch]] = {}  # by address of the mount
        self._most_each = MOST_OF_WATCH
        self._held = 0
        self._holes = Holes()  # times of walks of which no watch is left
        self._swept_ns = 0
        self._none_before_ns = 0
        self.dropped = 0

    def add(self, walk: Walk) -> None:
        """Store a walk, or drop it if its watch has enough."""
        watches = self._of.setdefault(walk.mnt, [])
        if not watches or watches[-1].ended_before(walk):
            watches.append(_Watch(walk.arming, walk.ts_ns))
        watch = watches[-1]
        watch.add(walk)
        full = watch.cut_ns is not None
        dropped = watch.cut(len(watch.walks) - 1 if full else self._most_each)
        self.dropped += dropped
        self._held += 1 - dropped
        if self._held > _MOST_IN_ALL:
            self._make_room(walk)

    def between(self, mnt: int, begin_ns: int, end_ns: int) -> list[Walk]:
        """Return the walks of an address from one time to another."""
        every = (walk for watch in self._of.get(mnt, ()) for walk in watch.walks)
        return [walk for walk in every if begin_ns <= walk.ts_ns <= end_ns]

    def first_dropped(self, mnt: int, begin_ns: int, end_ns: int) -> int | None:
        """Return the time of the first walk in between that was dropped, or may have been."""
        if begin_ns < self._none_before_ns:
            return begin_ns
        found = [self._holes.first(begin_ns, end_ns)]
        found += [
            max(watch.cut_ns, begin_ns)
            for watch in self._of.get(mnt, ())
            if watch.cut_ns is not None and watch.cut_ns <= end_ns and watch.last_ns >= begin_ns
        ]
        return min((at for at in found if at is not None), default=None)

    def forget(self, mnt: int, until_ns: int) -> None:
        """Forget the walks of an address up to a time."""
        watches = self._of.get(mnt, [])
        for watch in watches:
            rest = [walk for walk in watch.walks if walk.ts_ns > until_ns]
            self._held -= len(watch.walks) - len(rest)
            watch.walks = rest
        kept = [watch for watch in watches if watch.walks or watch.last_ns > until_ns]
        if kept:
            self._of[mnt] = kept
        elif watches:
            del self._of[mnt]

    def _make_room(self, newest: Walk) -> None:
        if newest.ts_ns - self._swept_ns > _SILENCE_NS:
            self._swept_ns = newest.ts_ns
            self._most_each = MOST_OF_WATCH
            needed = self._needed_since_ns()
            stale = newest.ts_ns - _STALE_NS
            self._drop_stale(stale if needed is None else min(stale, needed))
        while self._held > _MOST_IN_ALL and self._most_each > _LEAST_OF_WATCH:
            self._most_each //= 2
            for watch in self._every():
                self._count(watch.cut(self._most_each))
        if self._held > _MOST_IN_ALL:
            self._drop_newest(newest)

    def _drop_newest(self, newest: Walk) -> None:
        watches = self._of[newest.mnt]
        self._count(watches[-1].cut(len(watches[-1].walks) - 1))
        if not watches[-1].walks:
            self._holes.add(newest.ts_ns, newest.ts_ns)
            watches.pop()
        if not watches:
            del self._of[newest.mnt]

    def _drop_stale(self, before_ns: int) -> None:
        """Drop the watches that ended before, of which no umount was seen."""
        for mnt, watches in list(self._of.items()):
            stale = [watch for watch in watches if watch.last_ns < before_ns]
            if stale:
                self._count(sum(watch.cut(0) for watch in stale))
                self._none_before_ns = max(self._none_before_ns, before_ns)
                self._of[mnt] = [watch for watch in watches if watch.last_ns >= before_ns]
            if not self._of[mnt]:
                del self._of[mnt]

    def _count(self, dropped: int) -> None:
        self.dropped += dropped
        self._held -= dropped

    def _every(self) -> Iterator[_Watch]:
        return (watch for watches in self._of.values() for watch in watches)
