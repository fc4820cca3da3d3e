"""Reads the buffers of all CPUs and sorts their records by time."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from umtrace.model.clock import monotonic_ns
from umtrace.sources.ftrace.instance import Instance
from umtrace.sources.ftrace.records import LOST, Decoder, Record

LOST_GATED = "lost-gated"  #: as LOST, in the gated buffer
# A writer may need this long from the time of a record to its end, since a virtual CPU may wait for
# a real one there.
_STAYS_NS = 50_000_000
_MOST_PAGES = 4096  # of a CPU at once
_NEVER = 1 << 64
_BUSY_PAGES = 64
_BUSY_GATED_PAGES = 512  # of the 2 MiB and more that it has; a syscall is soon 32 bytes


class Drain:
    """Owns the descriptors of ``trace_pipe_raw``; ``close`` closes them.

    Parameters
    ----------
    instance : Instance
    decoder : Decoder
    page_bytes : int
    gated : tuple of Instance and Decoder, optional
        A second instance, of which only the records of some tasks are wanted.
    """

    def __init__(
        self,
        instance: Instance,
        decoder: Decoder,
        page_bytes: int,
        gated: tuple[Instance, Decoder] | None = None,
    ) -> None:
        self._decoder = decoder
        self._gated = gated[1] if gated else None
        self._page = page_bytes
        self._fds = {cpu: instance.open_raw(cpu) for cpu in instance.cpus}
        self._gated_fds = {cpu: gated[0].open_raw(cpu) for cpu in gated[0].cpus} if gated else {}
        self._younger: list[Record] = []
        self.busy = False  #: a buffer fills fast, so it must be read again at once

    def read(self, *, everything: bool, following: Collection[int] = ()) -> list[Record]:
        """Return the records up to a moment ago, sorted by time.

        Parameters
        ----------
        everything : bool
            Also return the youngest records, after which older ones may still come.
        following : collection of int
            Tasks of which the gated instance's records are wanted, in addition to the tasks in
            the records of the first instance.
        """
        before = monotonic_ns() - _STAYS_NS
        # The gated one first: its records of a task come after the record that makes them wanted.
        gated = self._all_pages(self._gated_fds)
        pages = self._all_pages(self._fds)
        fill = [len(mine) / _BUSY_PAGES for mine in pages.values()]
        fill += [len(mine) / _BUSY_GATED_PAGES for mine in gated.values()]
        self.busy = max(fill, default=0) > 1
        before = min(before, *map(_reached, (*gated.values(), *pages.values())))
        records = self._younger + self._decoder.decode(*_flat(pages))
        if self._gated:
            tasks = {record.tid for record in records}.union(following)
            wanted = {"next_pid": tasks, "common_pid": tasks}
            records += map(_as_gated, self._gated.decode(*_flat(gated), wanted))
        records.sort(key=_by_time)
        until = len(records)
        while not everything and until and records[until - 1].ts_ns > before:
            until -= 1
        self._younger = records[until:]
        return records[:until]

    @property
    def pending(self) -> bool:
        """Whether there are records for the next ``read``."""
        return bool(self._younger)

    def _all_pages(self, fds: Mapping[int, int]) -> dict[int, list[bytes]]:
        return {cpu: self._pages(fd) for cpu, fd in fds.items()}

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
        for fds in (self._fds, self._gated_fds):
            for fd in fds.values():
                os.close(fd)
            fds.clear()


def _flat(pages: Mapping[int, list[bytes]]) -> tuple[list[bytes], list[int]]:
    """Return the pages of all CPUs in one list, and the CPU of each."""
    cpus = [cpu for cpu, mine in pages.items() for _ in mine]
    return [page for mine in pages.values() for page in mine], cpus


def _reached(pages: list[bytes]) -> int:
    """Return until when a CPU was fully read; if it has more pages, until the last one read."""
    return int.from_bytes(pages[-1][:8], "little") if len(pages) == _MOST_PAGES else _NEVER


def _as_gated(record: Record) -> Record:
    """Give a gap in the gated buffer another name than one in the first buffer."""
    return record._replace(name=LOST_GATED) if record.name == LOST else record


def _by_time(record: Record) -> int:
    return record.ts_ns
