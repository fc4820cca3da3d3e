"""The two rings of a BPF source, and the bell between two reads of them."""

from __future__ import annotations

import mmap
from collections.abc import Callable

from umtrace.records.events import EVENT_DTYPE, NAME_DTYPE, Array, EventBatch
from umtrace.sources.bell import Bell
from umtrace.sources.ringbuf import RingReader

_BUSY = 0.1  # above this fill the reader does not sleep


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
        self._bell = Bell(map_fd("bell"), mmap.PAGESIZE)

    def read(self, timeout_s: float, look: Callable[[Array], Array]) -> EventBatch:
        """Wait up to ``timeout_s`` and drain; ``look`` may add to the events."""
        if timeout_s > 0 and self._events.fill < _BUSY:
            self._bell.wait(timeout_s)
        # Events first: the name of an event is submitted before the event itself.
        events = look(self._events.read())
        return EventBatch(events, self._names.read())

    def close(self) -> None:
        """Unmap; may be called twice."""
        for ring in (self._events, self._names, self._bell):
            ring.close()
