"""Reads the buffers of all CPUs and puts their records into the order of time."""

from __future__ import annotations

import os
import time

from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.records import Decoder, Record

_STAYS_NS = 10_000_000  # a writer may be this long between the time of a record and its end
_MOST_PAGES = 4096  # of a CPU at once
_BUSY_PAGES = 64


class Drain:
    """Owns the descriptors of ``trace_pipe_raw``; ``close`` lets go of them."""

    def __init__(self, instance: Instance, decoder: Decoder, page_bytes: int) -> None:
        self._decoder = decoder
        self._page = page_bytes
        self._fds = {cpu: instance.open_raw(cpu) for cpu in instance.cpus}
        self._younger: list[Record] = []
        self.busy = False  #: a buffer fills fast: read again at once

    def read(self, *, everything: bool) -> list[Record]:
        """Return the records up to a moment ago, in the order of time; or all of them."""
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - _STAYS_NS
        pages: list[bytes] = []
        cpus: list[int] = []
        most = 0
        for cpu, fd in self._fds.items():
            mine = self._pages(fd)
            pages += mine
            cpus += [cpu] * len(mine)
            most = max(most, len(mine))
        self.busy = most > _BUSY_PAGES
        records = self._younger + self._decoder.decode(pages, cpus)
        records.sort(key=_by_time)
        until = len(records)
        while not everything and until and records[until - 1].ts_ns > before:
            until -= 1
        self._younger = records[until:]
        return records[:until]

    def _pages(self, fd: int) -> list[bytes]:
        pages = []
        for _ in range(_MOST_PAGES):
            try:
                page = os.read(fd, self._page)
            except BlockingIOError:
                break
            if not page:
                break
            pages.append(page)
        return pages

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()


def _by_time(record: Record) -> int:
    return record.ts_ns
