"""The stage that makes windows of rows, scans and evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice

import pyarrow as pa

from umtrace.ebusy.attempts import (
    Attempt,
    Key,
    attempts,
    candidate_rows,
    latest_begin,
    latest_end,
    spans,
)
from umtrace.ebusy.downstream import Downstream
from umtrace.ebusy.evidence_store import EvidenceStore
from umtrace.ebusy.latetails import LateTails
from umtrace.ebusy.runs import Run
from umtrace.ebusy.shared import SharedSuperblocks
from umtrace.ebusy.tails import tail_window
from umtrace.ebusy.verdict import judge
from umtrace.model.evidence import NO_EVIDENCE, Evidence, Failure, Piece, Superblock, Walk
from umtrace.model.holders import HolderScan
from umtrace.model.losses import LossReport
from umtrace.model.windows import EbusyWindow

SPURIOUS_WITHIN_NS = 10_000_000
#: an EBUSY begins a new window if it comes this long after the last one of the mount
GAP_NS = 30_000_000_000
MAX_OPEN = 4096
_MOST_EARLY_SCANS = 65536


class EbusyDetector:
    """Takes row batches and returns windows; the same rows and scans give the same windows.

    The split of the rows into batches makes no difference, since each row is judged by the evidence
    up to its end. Neither does the time at which a scan comes, if ``pending`` has the scans that
    are still to come.

    Parameters
    ----------
    spurious_within_ns : int
        The time within which extra references must be gone to count as transient.
    offset_ns : int
        Wall clock minus CLOCK_MONOTONIC, which is the clock of evidence.
    """

    def __init__(
        self,
        *,
        spurious_within_ns: int = SPURIOUS_WITHIN_NS,
        offset_ns: int = 0,
        gap_ns: int = GAP_NS,
        max_open: int = MAX_OPEN,
    ) -> None:
        self._within = spurious_within_ns
        self._offset = offset_ns
        self._gap = gap_ns
        self._max_open = max_open
        self._now = 0  # the latest begin of a row
        self._until = 0  # the latest end of a row
        self._open: dict[Key, Run] = {}
        self._closed: deque[Run] = deque()  # waiting for their scans, in order of closing
        self._scans: dict[int, HolderScan] = {}  # scans that came before their row
        self._awaited: dict[int, Run] = {}
        self._evidence = EvidenceStore(offset_ns, self._needed_since)
        self._downstream = Downstream(offset_ns)
        self._shared = SharedSuperblocks(offset_ns)
        self._late = LateTails(offset_ns)
        self._scans_dropped = 0

    def losses(self) -> LossReport:
        """Return what was dropped so far because too much happened at the same time."""
        return LossReport(
            evidence_dropped=self._evidence.dropped
            + self._downstream.dropped
            + self._scans_dropped,
            tails_forgotten=self._late.forgotten + self._shared.forgotten,
        )

    def feed(
        self,
        rows: pa.RecordBatch,
        *,
        evidence: Evidence = NO_EVIDENCE,
        scans: Iterable[HolderScan] = (),
        pending: Collection[int] = (),
        came: pa.RecordBatch | None = None,
    ) -> list[EbusyWindow]:
        """Take one batch and return the windows that are over.

        Parameters
        ----------
        rows : RecordBatch of ``model.umounts.SCHEMA``
            In order of completion.
        evidence : Evidence
            It comes no later than the row that ends after it. What comes earlier than the rows that
            need it takes room.
        scans : iterable of HolderScan
            Scans of rows of this batch, of earlier or of later ones.
        pending : collection of int
            Ids of rows for which a scan is still to come.
        came : RecordBatch, optional
            The rows with those that a filter left out: no evidence has to wait for them.
        """
        for scan in scans:
            self._add_scan(scan)
        self._evidence.note_counted(evidence.counted_ns)
        ahead, found = deque(evidence.in_order()), list[EbusyWindow]()
        for attempt, before, until in self._needed(rows, evidence):
            self._until = max(self._until, until)
            found += self._hear(ahead, self._until - self._offset)
            self._now = max(self._now, before)
            found += self._take(attempt, pending) + self._settle()
        self._until = max(self._until, latest_end(rows))
        found += self._hear(ahead)
        self._now = max(self._now, latest_begin(rows))
        if self._evidence.holds_calls:
            self._evidence.forget_calls(spans(rows if came is None else came))
        self._expire()
        return found + self._settle()

    def _hear(
        self, ahead: deque[tuple[int, str, Piece]], until_ns: int | None = None
    ) -> list[EbusyWindow]:
        """Take the evidence up to a time, in its order; return the windows that it ends."""
        found: list[EbusyWindow] = []
        while ahead and (until_ns is None or ahead[0][0] <= until_ns):
            _, name, piece = ahead.popleft()
            self._evidence.add(name, piece)
            match name, piece:
                case "failures", Failure():
                    found += self._downstream.add_failures((piece,))
                case "final_puts", Walk():
                    found += self._joined(self._late.put(piece))
                case "superblocks", Superblock() if piece.active <= 1:
                    found += self._joined(self._shared.died(piece))
        return found

    def add_scans(self, scans: Iterable[HolderScan]) -> list[EbusyWindow]:
        """Take scans that came without rows; return the windows that waited for them."""
        for scan in scans:
            self._add_scan(scan)
        return self._settle()

    def finish(self) -> list[EbusyWindow]:
        """Return the open windows, and those that still wait for a scan."""
        for run in list(self._open.values()):
            self._close(run, all_came=True)
        for run in self._closed:
            run.awaited = 0
        self._awaited.clear()
        return self._settle() + self._joined(self._late.finish() + self._shared.finish(self._scans))

    def preview(self, limit: int = MAX_OPEN) -> list[EbusyWindow]:
        """Return the open windows as they are known now, at most ``limit`` of them."""
        some = list(islice(self._open.values(), limit))
        for run in some:
            self._evidence.give(run)
        return [self._judge(run) for run in some]

    @property
    def busy(self) -> Collection[Key]:
        """The mounts with an open window."""
        return self._open.keys()

    @property
    def n_open(self) -> int:
        """Number of open windows."""
        return len(self._open)

    def _needed_since(self) -> int | None:
        oldest = next(iter(self._open.values()), None)
        return None if oldest is None else oldest.first.t_start - self._offset

    def _needed(
        self, rows: pa.RecordBatch, evidence: Evidence
    ) -> Iterable[tuple[Attempt, int, int]]:
        """Skip nearly all rows: those that can neither begin nor end a window."""
        if not rows.num_rows:
            return ()
        tids = {*self._evidence.awaited_tasks, *(sb.tid for sb in evidence.superblocks)}
        wanted = candidate_rows(rows, self._open, tids)
        return attempts(rows, wanted) if wanted.any() else ()

    def _take(self, attempt: Attempt, pending: Collection[int]) -> list[EbusyWindow]:
        run = self._open.get(attempt.key)
        if run is not None and max(self._now, attempt.t_start) - run.last.end_ns > self._gap:
            self._close(run)
            run = None
        for key in attempt.above if self._open else ():
            if key in self._open:
                self._open[key].add_below(attempt)
        if attempt.busy:
            self._busy(run, attempt, pending)
        elif run is not None and attempt.is_the_end:
            run.end_with(attempt)
            self._take_scan(run, attempt, pending)
            self._close(run)
        return self._tails(attempt) if attempt.errno == 0 else []

    def _busy(self, run: Run | None, attempt: Attempt, pending: Collection[int]) -> None:
        if run is None:
            run = self._open[attempt.key] = Run.begun_by(attempt)
            self._evict()
        else:
            run.add(attempt)
        self._evidence.check(run, attempt)
        self._take_scan(run, attempt, pending)

    def _take_scan(self, run: Run, attempt: Attempt, pending: Collection[int]) -> None:
        """Add the scan for an attempt to its run, or let the run wait for it."""
        scan = self._scans.pop(attempt.id, None)
        if scan is not None:
            run.add_scan(scan)
        elif attempt.id in pending:
            run.awaited += 1
            self._awaited[attempt.id] = run

    def _tails(self, attempt: Attempt) -> list[EbusyWindow]:
        found = self._joined(self._tail(attempt))
        superblock = self._evidence.superblock_of(attempt)
        if superblock is not None:
            found += self._joined(self._shared.left_alive(attempt, superblock))
        return found

    def _tail(self, attempt: Attempt) -> list[EbusyWindow]:
        if attempt.final_put == "pending" and (mnt := self._evidence.detached(attempt)) is not None:
            return self._late.pending(attempt, mnt)
        window = tail_window(attempt, self._evidence.stealing_puts(attempt))
        return [window] if window is not None else []

    def _joined(self, windows: list[EbusyWindow]) -> list[EbusyWindow]:
        """Return the windows, and after each the windows of failures during it."""
        return [w for window in windows for w in (window, *self._downstream.add_window(window))]

    def _add_scan(self, scan: HolderScan) -> None:
        run = self._awaited.pop(scan.umount_id, None)
        if run is not None:
            run.awaited -= 1
            run.add_scan(scan)
            return
        self._scans[scan.umount_id] = scan
        if len(self._scans) > _MOST_EARLY_SCANS:
            del self._scans[next(iter(self._scans))]
            self._scans_dropped += 1

    def _expire(self) -> None:
        old = [r for r in self._open.values() if self._now - r.last.end_ns > self._gap]
        for run in old:
            self._close(run)

    def _evict(self) -> None:
        while len(self._open) > self._max_open:
            run = next(iter(self._open.values()))
            run.why_over = f"closed early: more than {self._max_open} mounts were busy"
            self._close(run)

    def _close(self, run: Run, *, all_came: bool = False) -> None:
        """Give a run its evidence, which the wait for scans would outlive."""
        del self._open[run.key]
        self._evidence.give(run, None if all_came else self._until)
        self._evidence.forget_walks(run)
        self._closed.append(run)

    def _settle(self) -> list[EbusyWindow]:
        """Judge closed runs in the order of closing, up to the first that still awaits a scan."""
        found: list[EbusyWindow] = []
        while self._closed and not self._closed[0].awaited:
            run = self._closed.popleft()
            found += self._joined([self._judge(run)])
        return found

    def _judge(self, run: Run) -> EbusyWindow:
        return judge(run, spurious_within_ns=self._within, offset_ns=self._offset)
