"""Runs scans beside the pipeline: two threads, short queues, an answer to every request."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from umtrace.holders.asker import asker
from umtrace.holders.likely import Before
from umtrace.holders.priority import Priority
from umtrace.holders.scan import Scan, Walk
from umtrace.model.holders import HolderScan, ScanRequest

Scanner = Callable[[Sequence[ScanRequest]], list[HolderScan]]

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
    nice : int, optional
        The nice value of a scan.
    walk : callable, optional
        Returns the processes that have something open on the mounts with these ids, or may have.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.time_ns,
        scanner: Scanner | None = None,
        nice: int | None = None,
        walk: Walk | None = None,
    ):
        self._clock, self._nice = clock, nice
        self._scanner, self._walk = scanner, walk
        self._before = Before()
        self._requests: queue.SimpleQueue[list[ScanRequest] | None] = queue.SimpleQueue()
        self._looked: queue.SimpleQueue[tuple[list[ScanRequest], Scan] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[HolderScan] = queue.SimpleQueue()
        self._asked: dict[tuple[int | None, int | None, str], int] = {}
        self.pending: set[int] = set()  #: ids of the rows that wait for an answer
        self.skipped = 0  #: EBUSY rows of a mount that was scanned just before
        self.refused = 0  #: EBUSY rows without a scan, because too many came at once
        names = {"umtrace-looks": self._look_all, "umtrace-holders": self._finish_all}
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in names.items()
        ]
        for thread in self._threads:
            thread.start()

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
        until = time.monotonic() + _TO_END_S
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

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

    def _run(self, work: Callable[[], None]) -> None:
        with suppress(OSError):  # no descriptors left: each scan tries again and reports it
            asker().start()
        try:
            work()
        finally:
            asker().close()

    def _look_all(self) -> None:
        """Look, and leave the rest to the other thread: it may take long, and holders may leave."""
        priority, ended = Priority(self._nice), False
        with suppress(OSError):
            priority.take(asker().start().process.pid)
        while not ended and (requests := self._requests.get()) is not None:
            while not self._requests.empty() and not ended:  # came meanwhile: one pass for all
                more = self._requests.get()
                ended = more is None
                requests = requests + (more or [])
            begin = self._clock()
            try:
                with priority.look(asker().start().process.pid):
                    self._look(requests)
            except OSError as error:
                self._fail(requests, error, begin)
        self._looked.put(None)

    def _look(self, requests: list[ScanRequest]) -> None:
        if self._scanner is not None:
            for answer in self._scanner(requests):
                self._answers.put(answer)
            return
        scan = Scan(requests, clock=self._clock, before=self._before, walk=self._walk)
        scan.look()
        self._looked.put((requests, scan))

    def _finish_all(self) -> None:
        priority = Priority(self._nice)
        priority.take()
        while (looked := self._looked.get()) is not None:
            requests, scan = looked
            begin = self._clock()
            try:
                with priority.look():
                    found = scan.finish(hurry=lambda: not self._looked.empty())
            except OSError as error:
                self._fail(requests, error, begin)
                continue
            self._before.add(found)
            for answer in found:
                self._answers.put(answer)

    def _fail(self, requests: list[ScanRequest], error: OSError, begin: int) -> None:
        """Answer the requests if /proc itself failed."""
        why, end = (f"/proc: {error.strerror}",), self._clock()
        empty = HolderScan(umount_id=0, path="", begin_ns=begin, end_ns=end, blind=why)
        for request in requests:
            self._answers.put(replace(empty, umount_id=request.umount_id, path=request.path))
