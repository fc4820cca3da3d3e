"""The EBUSY stage: the detector, and a worker that searches the holders of busy mounts."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from umtrace.ebusy.attempts import Attempt, Key, any_busy, attempts, candidate_rows
from umtrace.ebusy.decode import EvidenceDecoder
from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS, EbusyDetector
from umtrace.model.events import Array
from umtrace.model.evidence import NO_EVIDENCE, Check
from umtrace.model.holders import HolderScan, ScanRequest
from umtrace.model.losses import LossReport
from umtrace.model.windows import EbusyWindow

_POLL_S = 0.01
_PATIENCE_S = 2.0


class Scanner(Protocol):
    """Searches holders while the pipeline goes on (``holders.worker.ScanWorker``)."""

    @property
    def pending(self) -> Collection[int]:
        """Ids of the rows for which a scan is still to come."""

    def ask(self, requests: Sequence[ScanRequest]) -> None:
        """Ask for scans."""

    def answers(self) -> list[HolderScan]:
        """Return the scans that have ended since the last call."""

    @property
    def refused(self) -> int:
        """Number of EBUSY rows without a scan, because too many came at the same time."""

    @property
    def skipped(self) -> int:
        """Number of EBUSY rows without a scan, because their mount was scanned just before."""


@dataclass(slots=True)
class EbusyUpdate:
    """The windows and scans after one batch of rows."""

    windows: list[EbusyWindow] = field(default_factory=list)  #: windows that are over
    scans: list[HolderScan] = field(default_factory=list)  #: scans that have ended
    news: list[EbusyWindow] = field(default_factory=list)  #: open windows, new or changed

    def __add__(self, later: EbusyUpdate) -> EbusyUpdate:
        """Return both updates as one."""
        return EbusyUpdate(
            self.windows + later.windows, self.scans + later.scans, self.news + later.news
        )


class EbusyStage:
    """Takes rows, asks for scans, and returns windows.

    ``recorded`` are the scans of a recording, in place of a scanner. Without ``previews`` there is
    no news of open windows, for which each of them must be judged in every batch.
    """

    def __init__(
        self,
        *,
        offset_ns: int = 0,
        scanner: Scanner | None = None,
        recorded: Iterable[HolderScan] = (),
        spurious_within_ns: int = SPURIOUS_WITHIN_NS,
        previews: bool = True,
    ) -> None:
        self._previews = previews
        self._offset_ns = offset_ns
        self._detector = EbusyDetector(spurious_within_ns=spurious_within_ns, offset_ns=offset_ns)
        self._detector.add_scans(recorded)
        self._scanner = scanner
        self._reader = EvidenceDecoder()
        self._told: dict[int | None, str] = {}

    def feed(
        self,
        rows: pa.RecordBatch,
        events: Array | None = None,
        came: pa.RecordBatch | None = None,
    ) -> EbusyUpdate:
        """Take the rows of one batch, and the events that came with them; never waits.

        ``came`` has the rows that a filter left out as well.
        """
        evidence = NO_EVIDENCE if events is None else self._reader.read(events)
        scans: list[HolderScan] = []
        if self._scanner is not None:
            if any_busy(rows) or self._detector.n_open:
                copies = _Copies(evidence.checks, self._offset_ns)
                self._scanner.ask(_requests(rows, self._detector.busy, copies))
            scans = self._scanner.answers()
        pending = self._scanner.pending if self._scanner is not None else ()
        windows = self._detector.feed(
            rows, evidence=evidence, scans=scans, pending=pending, came=came
        )
        return EbusyUpdate(windows, scans, self._news(windows) if self._previews else [])

    def finish(self) -> EbusyUpdate:
        """Wait a limited time for the last scans; return the rest."""
        scans: list[HolderScan] = []
        deadline = time.monotonic() + _PATIENCE_S
        while self._scanner is not None and self._scanner.pending:
            scans += self._scanner.answers()
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        windows = self._detector.add_scans(scans) + self._detector.finish()
        return EbusyUpdate(windows, scans)

    def losses(self) -> LossReport:
        """Return what this stage has left out so far."""
        scans = LossReport()
        if self._scanner is not None:
            scans = LossReport(
                scans_refused=self._scanner.refused, scans_skipped=self._scanner.skipped
            )
        return scans + self._detector.losses()

    def _news(self, over: list[EbusyWindow]) -> list[EbusyWindow]:
        """Return the open windows with a verdict that is new since the last call."""
        for window in over:
            self._told.pop(window.umount_id, None)
        news = []
        for window in self._detector.preview(limit=256):
            if window.klass != "unknown" and self._told.get(window.umount_id) != window.klass:
                self._told[window.umount_id] = window.klass
                news.append(window)
        return news


class _Copies:
    """The propagated copies that busy checks found in use, by task."""

    def __init__(self, checks: Iterable[Check], offset_ns: int) -> None:
        self._offset_ns = offset_ns
        self._checks = [check for check in checks if check.mntns is not None]

    def mntns(self, attempt: Attempt) -> int | None:
        """Return the mount namespace of the copy that made this call fail; None if none did."""
        begin, end = attempt.t_start - self._offset_ns, attempt.end_ns - self._offset_ns
        its = (c.mntns for c in self._checks if c.tid == attempt.tid and begin <= c.ts_ns <= end)
        return next(its, None)


def _requests(
    rows: pa.RecordBatch, open_keys: Collection[Key], copies: _Copies
) -> list[ScanRequest]:
    """Return the scans to ask for: of busy mounts, and of a path after a success.

    The latter is needed only if nothing but the path shows that it was the same mount.
    """
    found, busy = [], set(open_keys)
    for attempt, *_ in attempts(rows, candidate_rows(rows, open_keys, ())):
        known = attempt.mount_id is not None
        succeeded = attempt.proves_free and not known and attempt.key in busy
        if attempt.busy:
            busy.add(attempt.key)
        if attempt.path is not None and (attempt.busy or succeeded):
            found.append(_request(attempt, copies.mntns(attempt), over=succeeded))
    return found


def _request(attempt: Attempt, copy_mntns: int | None, *, over: bool) -> ScanRequest:
    return ScanRequest(
        umount_id=attempt.id,
        path=attempt.path or "",
        mntns=attempt.mntns,
        pid=attempt.pid,
        mount_id=attempt.mount_id,
        over=over,
        copy_mntns=copy_mntns,
    )
