"""Stores recent evidence until the row comes that it belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.holes import Holes
from umtrace.ebusy.runs import Run
from umtrace.ebusy.watches import Watches
from umtrace.model.evidence import Check, Piece, Skip, Superblock, Walk

_MOST_KEYS = 4096
_MOST_EACH = 256
_LATER_NS = 1_000_000_000
#: ns of event time after which no row comes that needs a last put: a row is held back for 5 s
_PUT_NEEDED_NS = 10_000_000_000

_Evidence = TypeVar("_Evidence")


class EvidenceStore:
    """Bounded: 256 pieces for each of the 4096 tasks that came last; of walks, see `Watches`.

    Attributes
    ----------
    dropped : int
        Pieces of evidence that were dropped before their row came.
    """

    def __init__(
        self, offset_ns: int, needed_since_ns: Callable[[], int | None] = lambda: None
    ) -> None:
        self._offset = offset_ns
        self._checks: dict[int, deque[Check]] = {}
        self._watches = Watches(needed_since_ns)
        self._busy: deque[tuple[int, int]] = deque(maxlen=_MOST_KEYS)  # time and mount of checks
        self._counted_ns: int | None = None  # from when on busy checks are known to count
        self._superblocks: dict[int, deque[Superblock]] = {}
        self._final_puts: dict[int, deque[Walk]] = {}
        self._lazies: dict[int, deque[Walk]] = {}
        self._holes = Holes()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Return how many pieces were dropped so far."""
        return self._dropped + self._watches.dropped + self._holes.dropped

    def note_counted(self, counted_ns: int | None) -> None:
        """Note the time of the first busy check that had a count."""
        if self._counted_ns is None:
            self._counted_ns = counted_ns

    def add(self, name: str, piece: Piece) -> None:
        """Store a piece of evidence; ``name`` is its field of `Evidence`."""
        match name, piece:
            case "checks", Check():
                self._keep(self._checks, piece.tid, piece)
                self._busy.append((piece.ts_ns, piece.mnt))
            case "walks", Walk():
                self._watches.add(piece)
            case "lazies", Walk():
                self._keep(self._lazies, piece.tid, piece)
            case "final_puts", Walk():
                self._forget_puts(piece.ts_ns - _PUT_NEEDED_NS)
                self._keep(self._final_puts, piece.ts_ns, piece)
            case "superblocks", Superblock():
                self.add_superblock(piece)
            case "skips", Skip():
                self._holes.add(piece.begin_ns, piece.end_ns)

    @property
    def holds_calls(self) -> bool:
        """Whether `forget_calls` would find anything."""
        return bool(self._lazies)

    def forget_calls(self, spans: Iterable[tuple[int, int, int]]) -> None:
        """Forget the MNT_DETACH calls of rows that came: task, begin and end, wall clock in ns.

        Rows of one task may come in another order than it called: a row waits for its last put.
        """
        for tid, begin, end in spans:
            calls = self._lazies.get(tid, ())
            mine = [c for c in calls if begin <= c.ts_ns + self._offset <= end]
            for call in mine:
                self._lazies[tid].remove(call)
            if mine and not self._lazies[tid]:
                del self._lazies[tid]

    def _forget_puts(self, before_ns: int) -> None:
        while self._final_puts and (oldest := next(iter(self._final_puts))) < before_ns:
            del self._final_puts[oldest]

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
            self._dropped += 1
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
        self._dropped += len(mine[room:])
        if run.mnt is None and mine:
            run.mnt = next((c.mnt for c in mine if c.site != "copy"), None)

    def give(self, run: Run, until_ns: int | None = None) -> None:
        """Add the walks of its mount to a run, and decide its checks.

        ``until_ns`` is the wall clock up to which the rows have come. What is known of later times
        depends on how the rows are cut into batches, so it does not count; None counts all.
        """
        self._decide_checks(run, until_ns)
        # Before the run, the address was that of another mount. And the last reference may be
        # dropped when the umount that succeeds has begun already.
        begin = run.first.t_start - self._offset
        end = (run.over.end_ns if run.over else run.end_ns + _LATER_NS) - self._offset
        if until_ns is not None:
            end = min(end, until_ns - self._offset)
        run.known_until_ns = end
        run.others_busy_ns = self._others_busy(run, begin, end)
        holes = [self._holes.first(begin, end)]
        if run.mnt is not None:
            run.walks = self._watches.between(run.mnt, begin, end)
            holes.append(self._watches.first_dropped(run.mnt, begin, end))
        run.unseen_ns = min((hole for hole in holes if hole is not None), default=None)

    def _others_busy(self, run: Run, begin_ns: int, end_ns: int) -> tuple[int, ...]:
        """Return when other mounts were found busy; if that is not known any more, the begin."""
        end_ns = min(end_ns, begin_ns + _LATER_NS)
        found = [at for at, mnt in self._busy if begin_ns <= at <= end_ns and mnt != run.mnt]
        gone = len(self._busy) == _MOST_KEYS and self._busy[0][0] > begin_ns
        return (begin_ns, *found) if gone else tuple(found)

    def _decide_checks(self, run: Run, until_ns: int | None) -> None:
        """Decide the first check of a recording, which depends on whether later ones count."""
        counted = self._counted_ns is not None and (
            until_ns is None or self._counted_ns <= until_ns - self._offset
        )
        if counted and any(check.site == "unknown" for check in run.checks):
            run.checks = [
                replace(check, site="submount") if check.site == "unknown" else check
                for check in run.checks
            ]

    def forget_walks(self, run: Run) -> None:
        """Forget the walks of a run that is over."""
        if run.mnt is not None:
            self._watches.forget(run.mnt, run.end_ns - self._offset)

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
                for walk in self._watches.between(put.mnt, begin, put.ts_ns)
                if walk.what == "must-put"
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
        self._dropped += len(of_key) == _MOST_EACH
        of_key.append(evidence)
        while len(store) > _MOST_KEYS:
            self._dropped += len(store.pop(next(iter(store))))
