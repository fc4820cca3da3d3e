"""Runs scans beside the pipeline: a thread, a short queue, an answer to every request."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from umtrace.holders.asker import asker
from umtrace.holders.scan import scan
from umtrace.model.holders import HolderScan, ScanRequest

Scan = Callable[[Sequence[ScanRequest]], list[HolderScan]]

MOST_AT_ONCE = 64
#: an EBUSY of a mount that was scanned less than this ago, in ns, gets no scan of its own
AGAIN_NS = 100_000_000
_MOST_PATHS = 4096
#: for the scans that run when the recording ends; each takes a tenth of a second
_TO_END_S = 10.0


class ScanWorker:
    """Takes requests at any rate, scans some of them, and never blocks the caller.

    Parameters
    ----------
    clock : callable
        Wall clock in ns, the same as that of the rows.
    scanner : callable, optional
        Replaces `scan`.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns, scanner: Scan | None = None):
        self._clock = clock
        self._scan = scanner or (lambda requests: scan(requests, clock=clock))
        self._requests: queue.SimpleQueue[list[ScanRequest] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[HolderScan] = queue.SimpleQueue()
        self._asked: dict[tuple[int | None, int | None, str], int] = {}
        self.pending: set[int] = set()  #: ids of the rows that wait for an answer
        self.skipped = 0  #: EBUSY rows of a mount that was scanned just before
        self.refused = 0  #: EBUSY rows without a scan, because too many came at once
        self._thread = threading.Thread(target=self._run, name="umtrace-holders", daemon=True)
        self._thread.start()

    def ask(self, requests: Sequence[ScanRequest]) -> None:
        """Request scans; each request that is accepted has its id in ``pending`` until answered."""
        now = self._clock()
        accepted = [request for request in requests if self._is_due(request, now)]
        room = max(MOST_AT_ONCE - len(self.pending), 0)
        self.refused += len(accepted[room:])
        if accepted[:room]:
            self.pending |= {request.umount_id for request in accepted[:room]}
            self._requests.put(accepted[:room])

    def answers(self) -> list[HolderScan]:
        """Return the scans that have ended since the last call."""
        found = []
        while not self._answers.empty():
            found.append(self._answers.get())
        self.pending -= {answer.umount_id for answer in found}
        return found

    def close(self) -> None:
        """Finish the scans asked for and end the thread; may be called twice.

        A scan that does not end in time is left behind; its requests count as refused.
        """
        self._requests.put(None)
        self._thread.join(_TO_END_S)

    def _is_due(self, request: ScanRequest, now: int) -> bool:
        if request.over:
            return True
        key = (request.mntns, request.mount_id, request.path)
        if now - self._asked.get(key, 0) < AGAIN_NS:
            self.skipped += 1
            return False
        self._asked.pop(key, None)
        self._asked[key] = now
        if len(self._asked) > _MOST_PATHS:
            del self._asked[next(iter(self._asked))]
        return True

    def _run(self) -> None:
        with suppress(OSError):  # no descriptors left: each scan tries again and reports it
            asker().start()
        try:
            self._work()
        finally:
            asker().close()

    def _work(self) -> None:
        while (requests := self._requests.get()) is not None:
            for answer in self._answer(requests):
                self._answers.put(answer)

    def _answer(self, requests: list[ScanRequest]) -> list[HolderScan]:
        begin = self._clock()
        try:
            return self._scan(requests)
        except OSError as error:  # /proc itself failed: the requests still need an answer
            why = (f"/proc: {error.strerror}",)
            end = self._clock()
            empty = HolderScan(umount_id=0, path="", begin_ns=begin, end_ns=end, blind=why)
            return [replace(empty, umount_id=r.umount_id, path=r.path) for r in requests]
