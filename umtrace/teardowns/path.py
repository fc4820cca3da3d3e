"""The critical path of a teardown: what its end waited for, from the end back to the begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.teardowns.rows import Bools, Rows

#: a task that goes on within this time is taken to have waited for nobody in between
PAUSE_NS = 10_000_000
#: the end of an umount that is seen by the next call of its task is so much later at most
LATE_NS = 20_000


class Link(str, Enum):
    """Why the step after this one could not go on before this one was done."""

    END = "end"  #: it is the last one
    TASK = "task"  #: the same task did one after the other
    LOCK = "lock"  #: it had the namespace lock for which the next one waited
    ORDER = "order"  #: inferred: another task of the owner had ended before the next one began


@dataclass(frozen=True, slots=True)
class Step:
    """A part of an umount that the end of the teardown waited for.

    Attributes
    ----------
    row : int
        Place of the umount in the rows.
    begin, end : int
        The part, ns of UTC. A step that gave the lock on ends there; one that waited for the
        lock begins when it got it.
    link : Link
    pause_ns : int
        From ``end`` to the begin of the next step.
    """

    row: int
    begin: int
    end: int
    link: Link
    pause_ns: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the step lasts to the end of its umount."""
        return self.link is not Link.LOCK


def critical_path(rows: Rows, mine: Bools) -> list[Step]:
    """Return the steps in the order of time.

    Parameters
    ----------
    rows : Rows, n rows
        Those of the teardown and of all others that overlap it.
    mine : ndarray of bool, shape (n,)
        The rows of the teardown.

    Returns
    -------
    list of Step
        The last one ends when the teardown does. Steps do not overlap, and do not begin before
        the teardown. A step of another owner is there only where it had the lock.
    """
    steps = list(_backwards(rows, mine))
    return steps[::-1]


def _backwards(rows: Rows, mine: Bools) -> Iterator[Step]:
    own = np.flatnonzero(mine)
    since = int(rows.begin[own].min())
    ends = rows.end[own]
    last = own[ends == ends.max()]
    at = int(last[np.argmin(rows.begin[last])])
    before = _Before(rows, own)
    until, link, pause = int(rows.end[at]), Link.END, 0
    while until > since:
        holder = releaser(rows, at, until)
        begin = int(rows.begin[at] if holder is None else rows.waits[1][at])
        yield Step(at, max(begin, since), until, link, pause)
        link = Link.LOCK
        if holder is None:
            if not mine[at]:
                return
            holder, link = before.of(at)
        if holder is None:
            return
        at = holder
        until = int(rows.holds[1][at] if link is Link.LOCK else min(rows.end[at], begin))
        pause = begin - until


def releaser(rows: Rows, at: int, until: int) -> int | None:
    """Return the last row that had the lock while row ``at`` waited for it; None: none is known.

    A row that was left before it got the lock, at ``until``, waited for nobody.
    """
    wait_end = int(rows.waits[1][at])
    if wait_end < 0 or wait_end > until:
        return None
    had = rows.had_the_lock(at)
    return had[-1] if had else None


class _Before:
    """Finds what a row of a teardown began after."""

    def __init__(self, rows: Rows, own: Int64) -> None:
        self._rows, self._tid = rows, rows.of("tid")
        by_end = own[np.argsort(rows.end[own], kind="stable")]
        by_task = by_end[np.argsort(self._tid[by_end], kind="stable")]
        tids, first = np.unique(self._tid[by_task], return_index=True)
        tasks = np.split(by_task, first[1:])
        self._tasks = dict(zip(tids.tolist(), tasks, strict=True))
        last = np.array([task[-1] for task in tasks], np.int64)
        self._last = last[np.argsort(rows.end[last], kind="stable")]

    def of(self, at: int) -> tuple[int | None, Link]:
        """Return (row, link) of the one before; None where there is none."""
        begin, tid = int(self._rows.begin[at]), int(self._tid[at])
        same = self._latest(self._tasks[tid], begin + LATE_NS, partial(self._is_before, at))
        if same is not None and begin - self._rows.end[same] <= PAUSE_NS:
            return same, Link.TASK
        other = self._latest(self._last, begin, lambda row: int(self._tid[row]) != tid)
        if other is not None and (same is None or self._rows.end[other] > self._rows.end[same]):
            return other, Link.ORDER
        return same, Link.TASK

    def _is_before(self, at: int, row: int) -> bool:
        """Whether a row of the same task is before another one, and not around it."""
        rows = self._rows
        return bool(rows.begin[row] < rows.begin[at] and rows.end[row] < rows.end[at])

    def _latest(self, by_end: Int64, begin: int, fits: Callable[[int], bool]) -> int | None:
        """Return the one that ended last before a time."""
        count = int(np.searchsorted(self._rows.end[by_end], begin, side="right"))
        return next((int(row) for row in by_end[:count][::-1] if fits(int(row))), None)
