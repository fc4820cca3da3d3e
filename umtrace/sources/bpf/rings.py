"""A BPF ring buffer read as numpy arrays, in batches.

Every record of one ring has the same size. So the data between the position of the consumer and
that of the producer is one array; where it crosses the end of the ring, it is two arrays and the
record at the end. bcc's callback would cost a Python call per event. The kernel offers the data
pages a second time after the first, but to map these would count them as memory twice.
"""

from __future__ import annotations

import mmap
import select
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from umtrace.model.events import BIRTH_DTYPE, EVENT_DTYPE, NAME_DTYPE, Array, EventBatch
from umtrace.model.kinds import Bell

_UNCOMMITTED = np.uint32(1 << 31)
_BUSY_FILL = 0.1  # above this fill the reader does not sleep
#: a storm of EBUSY may shorten only one wait in this time
APART_S = 0.05
_BIRTH_PAGES = 512  # UM_BIRTH_PAGES in bpf/births.c
_HEADER = 8  # u32 length with flags, u32 page offset


class RingReader:
    """Drains one ring of fixed-size records.

    Parameters
    ----------
    map_fd : int
        Descriptor of a BPF_MAP_TYPE_RINGBUF map.
    size : int
        Size of its data area in bytes, a power of two.
    dtype : dtype
        Layout of one record; its size must be a multiple of 8.
    """

    def __init__(self, map_fd: int, size: int, dtype: npt.DTypeLike) -> None:
        self._size = size
        self._record = np.dtype([("length", "<u4"), ("page", "<u4"), ("data", dtype)])
        if self._record.itemsize % 8:
            raise ValueError("a ring record takes a multiple of 8 bytes")
        page = mmap.PAGESIZE
        self._consumer_map = mmap.mmap(map_fd, page, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self._producer_map = mmap.mmap(map_fd, page + size, prot=mmap.PROT_READ, offset=page)
        self._consumer = np.frombuffer(self._consumer_map, np.uint64, count=1)
        self._producer = np.frombuffer(self._producer_map, np.uint64, count=1)

    def read(self) -> Array:
        """Return and consume all committed records; a copy, shape (n,), the record dtype.

        A record that a probe has reserved and not yet submitted ends the batch.
        """
        begin = int(self._consumer[0])
        count = (int(self._producer[0]) - begin) // self._record.itemsize
        pieces = [np.empty(0, self._record["data"])]
        # The kernel publishes the position before the record is complete, and clears the busy bit
        # after that. So the bit is read after the position and before the data.
        while count > 0:
            records = self._run(begin, count)
            busy = np.flatnonzero(records["length"] & _UNCOMMITTED)
            ready = int(busy[0]) if busy.size else records.size
            pieces.append(records["data"][:ready].copy())
            begin += ready * self._record.itemsize
            count = 0 if busy.size else count - ready
            del records  # close() cannot unmap what an array refers to
        data: Array = pieces[1] if len(pieces) == 2 else np.concatenate(pieces)  # noqa: PLR2004
        self._consumer[0] = np.uint64(begin)
        return data

    def _run(self, begin: int, count: int) -> Array:
        """Return the records from ``begin`` to the ring's end, or the one that crosses it."""
        offset = begin & (self._size - 1)
        room = self._size - offset
        fit = min(count, room // self._record.itemsize)
        if fit:
            run: Array = np.ndarray(
                (fit,), self._record, self._producer_map, mmap.PAGESIZE + offset
            )
            return run
        header = np.ndarray((1,), np.uint32, self._producer_map, mmap.PAGESIZE + offset)
        first = header.copy()
        at = mmap.PAGESIZE + offset
        rest = self._record.itemsize - room
        begin_of_ring = self._producer_map[mmap.PAGESIZE : mmap.PAGESIZE + rest]
        across = self._producer_map[at:] + begin_of_ring
        record: Array = np.frombuffer(bytearray(across), self._record)
        record["length"] = first
        return record

    @property
    def fill(self) -> float:
        """How full the ring is now, 0 to 1."""
        return (int(self._producer[0]) - int(self._consumer[0])) / self._size

    def close(self) -> None:
        """Unmap; may be called twice."""
        self._consumer = self._producer = np.zeros(1, np.uint64)
        self._consumer_map.close()
        self._producer_map.close()


class WakeupRing:
    """Waits until a probe wakes the reader, or until the time is up.

    Parameters
    ----------
    map_fd : int
        A ring buffer into which a probe writes a word, which wakes the process that polls it.
    size : int
        Its data area, bytes.
    """

    def __init__(self, map_fd: int, size: int) -> None:
        self._ring = RingReader(map_fd, size, np.dtype("<u8"))
        self._poll = select.poll()
        self._poll.register(map_fd, select.POLLIN)
        self._rang_at = 0.0

    def wait(self, timeout_s: float) -> bool:
        """Wait; return whether a probe woke the reader."""
        now = time.monotonic()
        deaf = min(max(self._rang_at + APART_S - now, 0.0), timeout_s)
        if deaf:
            time.sleep(deaf)
        rang = bool(self._poll.poll(max(timeout_s - deaf, 0.0) * 1000))
        if rang and bool((self._ring.read() == Bell.EBUSY).any()):
            self._rang_at = time.monotonic()
        return rang

    def close(self) -> None:
        """Unmap the ring; may be called twice."""
        self._ring.close()


class Rings:
    """Drains events and names.

    Parameters
    ----------
    map_fd : callable
        Returns the descriptor of the map of that name: events, names, bell.
    event_bytes, name_bytes : int
        Sizes of the two rings.
    """

    def __init__(self, map_fd: Callable[[str], int], event_bytes: int, name_bytes: int) -> None:
        self._events = RingReader(map_fd("events"), event_bytes, EVENT_DTYPE)
        self._names = RingReader(map_fd("names"), name_bytes, NAME_DTYPE)
        pages = _BIRTH_PAGES * mmap.PAGESIZE
        self._births = RingReader(map_fd("births"), pages, BIRTH_DTYPE)
        self._bell = WakeupRing(map_fd("bell"), mmap.PAGESIZE)
        self.found = 0.0  #: how full the last read found the fuller ring, 0 to 1

    def read(self, timeout_s: float, inspect: Callable[[Array], Array]) -> EventBatch:
        """Wait up to ``timeout_s`` and drain; ``inspect`` may add to the events."""
        if timeout_s > 0 and self._events.fill < _BUSY_FILL:
            self._bell.wait(timeout_s)
        self.found = max(self._events.fill, self._names.fill)
        # Events first: the name of an event is submitted before the event itself.
        events = inspect(self._events.read())
        return EventBatch(events, self._names.read(), self._births.read())

    def close(self) -> None:
        """Unmap; may be called twice."""
        for ring in (self._events, self._names, self._births, self._bell):
            ring.close()
