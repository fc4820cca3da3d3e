"""Stores recent evidence until the row comes that it belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.runs import Run
from umtrace.model.evidence import Check, Evidence, Skip, Superblock, Walk

_MOST_KEYS = 4096
_MOST_EACH = 256
_MOST_WALKS = 2048  #: of one address, which many mounts have in turn
_MOST_IN_ALL = 16384
_MOST_SKIPS = 4096
_LATER_NS = 1_000_000_000

_Evidence = TypeVar("_Evidence")


class EvidenceStore:
    """Bounded: 256 pieces for each of the 4096 tasks that came last, and 16384 walks in all.

    Attributes
    ----------
    dropped : int
        Pieces of evidence that were dropped before their row came.
    """

    def __init__(self, offset_ns: int) -> None:
        self._offset = offset_ns
        self._checks: dict[int, deque[Check]] = {}
        self._walks: dict[int, deque[Walk]] = {}
        self._n_walks = 0
        self._counts = False  # whether any busy check has a count
        self._dropped: dict[int, int] = {}  # by address, the time of the latest dropped walk
        self._any_dropped = 0  # the latest one of addresses that are not in that any more
        self._superblocks: dict[int, deque[Superblock]] = {}
        self._final_puts: dict[int, deque[Walk]] = {}
        self._lazies: dict[int, deque[Walk]] = {}
        self._skips: deque[Skip] = deque()
        self.dropped = 0

    def add(self, evidence: Evidence) -> None:
        """Store the evidence of a batch."""
        self._counts |= evidence.counts
        for check in evidence.checks:
            self._keep(self._checks, check.tid, check)
        for walk in evidence.walks:
            self._keep_walk(walk)
        for lazy in evidence.lazies:
            self._keep(self._lazies, lazy.tid, lazy)
        for put in evidence.final_puts:
            self._keep(self._final_puts, put.ts_ns, put)
        for skip in evidence.skips:
            joins = self._skips and skip.begin_ns <= self._skips[-1].end_ns
            begin = self._skips.pop().begin_ns if joins else skip.begin_ns
            self._skips.append(Skip(begin, skip.end_ns))
            if len(self._skips) > _MOST_SKIPS:
                self._any_dropped = max(self._any_dropped, self._skips.popleft().end_ns)
                self.dropped += 1

    def _keep_walk(self, walk: Walk) -> None:
        walks = self._walks.setdefault(walk.mnt, deque())
        walks.append(walk)
        self._n_walks += 1
        if len(walks) > _MOST_WALKS:
            self._drop(walk.mnt, [walks.popleft()])
        while self._n_walks > _MOST_IN_ALL:  # drop those of the address that was busy first
            first = next(iter(self._walks))
            self._drop(first, self._walks.pop(first))

    def _drop(self, mnt: int, walks: Sequence[Walk]) -> None:
        """Note dropped walks: if a put of a run is missing, the others must not decide it."""
        self._n_walks -= len(walks)
        self.dropped += len(walks)
        self._dropped[mnt] = max(self._dropped.get(mnt, 0), *(walk.ts_ns for walk in walks))
        if len(self._dropped) > _MOST_KEYS:
            oldest = self._dropped.pop(next(iter(self._dropped)))
            self._any_dropped = max(self._any_dropped, oldest)

    def add_superblock(self, superblock: Superblock) -> None:
        """Store a superblock that an umount leaves alive; its death counts only after that.

        The namespaces come once in an operation, and a count with each of its mounts. So if there
        is no room, a count is dropped first.
        """
        counted = self._superblocks.get(superblock.tid)
        if superblock.active <= 1 and counted is None:
            return
        if counted is not None and len(counted) == _MOST_EACH:
            oldest = next((s for s in counted if not s.mntns), counted[0])
            counted.remove(oldest)
            self.dropped += 1
        self._keep(self._superblocks, superblock.tid, superblock)

    @property
    def awaited_tasks(self) -> Collection[int]:
        """The tasks of which rows are needed for the windows of superblocks."""
        return self._superblocks

    def check(self, run: Run, attempt: Attempt) -> None:
        """Add the busy checks of an attempt to its run."""
        begin, end = attempt.t_start - self._offset, attempt.end_ns - self._offset
        checks = self._checks.pop(attempt.tid, deque())
        for later in (c for c in checks if c.ts_ns > end):  # of later umounts of the task
            self._keep(self._checks, attempt.tid, later)
        mine = [c for c in checks if begin <= c.ts_ns <= end]
        room = _MOST_EACH - len(run.checks)
        run.checks += mine[:room]
        self.dropped += len(mine[room:])
        if run.mnt is None and mine:
            run.mnt = next((c.mnt for c in mine if c.site != "copy"), None)

    def decide_checks(self, run: Run) -> None:
        """Decide the first check of a recording, which depends on whether later ones count."""
        if self._counts and any(check.site == "unknown" for check in run.checks):
            run.checks = [
                replace(check, site="submount") if check.site == "unknown" else check
                for check in run.checks
            ]

    def give_walks(self, run: Run) -> None:
        """Add the walks of its mount to a run; before it, the address was that of another mount."""
        begin = run.first.t_start - self._offset
        # The last reference may be dropped when the umount that succeeds has begun already.
        end = (run.over.end_ns if run.over else run.end_ns + _LATER_NS) - self._offset
        walks = () if run.mnt is None else self._walks.get(run.mnt, ())
        run.walks = [walk for walk in walks if begin <= walk.ts_ns <= end]
        dropped = max(self._any_dropped, self._dropped.get(run.mnt or 0, 0))
        run.skipped = dropped >= begin or any(
            s.begin_ns <= end and s.end_ns >= begin for s in self._skips
        )

    def forget_walks(self, run: Run) -> None:
        """Forget the walks of a run that is over."""
        walks = self._walks.get(run.mnt or 0)
        while walks and walks[0].ts_ns <= run.end_ns - self._offset:
            walks.popleft()
            self._n_walks -= 1
        if walks is not None and not walks:
            del self._walks[run.mnt or 0]

    def stealing_puts(self, attempt: Attempt) -> list[Walk]:
        """Return the final put that ended an umount's tail, and the walks that led to it."""
        at = attempt.end_ns + (attempt.tail_ns or 0) - self._offset
        puts = self._final_puts.get(at, ())
        begin = attempt.t_start - self._offset  # before, the address was that of another mount
        return [
            *puts,
            *(
                walk
                for put in puts
                for walk in self._walks.get(put.mnt, ())
                if walk.what == "must-put" and begin <= walk.ts_ns <= put.ts_ns
            ),
        ]

    def detached(self, attempt: Attempt) -> int | None:
        """Return the mount of an MNT_DETACH call."""
        begin, end = attempt.t_start - self._offset, attempt.end_ns - self._offset
        calls = self._lazies.get(attempt.tid, ())
        return next((c.mnt for c in calls if begin <= c.ts_ns <= end), None)

    def superblock_of(self, attempt: Attempt) -> Superblock | None:
        """Return and forget the superblock that an umount left alive; None if it left none."""
        begin, end = attempt.t_start - self._offset, attempt.end_ns - self._offset
        counted = self._superblocks.pop(attempt.tid, deque())
        for later in (s for s in counted if s.ts_ns > end):
            self.add_superblock(later)
        within = [s for s in counted if begin <= s.ts_ns <= end]
        last = {s.dev: s for s in within}
        alive = next((s for s in reversed(last.values()) if s.active > 1), None)
        if alive is None:
            return None
        named = (s.mntns for s in reversed(within) if s.dev == alive.dev and s.mntns)
        return replace(alive, mntns=next(named, ()))

    def _keep(self, store: dict[int, deque[_Evidence]], key: int, evidence: _Evidence) -> None:
        of_key = store.setdefault(key, deque(maxlen=_MOST_EACH))
        self.dropped += len(of_key) == _MOST_EACH
        of_key.append(evidence)
        while len(store) > _MOST_KEYS:
            self.dropped += len(store.pop(next(iter(store))))
