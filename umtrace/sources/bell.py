"""The wait between two reads of the rings, which an EBUSY cuts short."""

from __future__ import annotations

import select
import time

import numpy as np

from umtrace.sources.ringbuf import RingReader

#: storms of EBUSY may shorten one wait in so long
APART_S = 0.05


class Bell:
    """Waits for a probe to ring, or for the time to be up.

    Parameters
    ----------
    map_fd : int
        A ring buffer into which a probe puts a word, and wakes who polls it.
    size : int
        Its data area, bytes.
    """

    def __init__(self, map_fd: int, size: int) -> None:
        self._ring = RingReader(map_fd, size, np.dtype("<u8"))
        self._poll = select.poll()
        self._poll.register(map_fd, select.POLLIN)
        self._rang_at = 0.0

    def wait(self, timeout_s: float) -> bool:
        """Wait; return whether it rang."""
        now = time.monotonic()
        deaf = min(max(self._rang_at + APART_S - now, 0.0), timeout_s)
        if deaf:
            time.sleep(deaf)
        rang = bool(self._poll.poll(max(timeout_s - deaf, 0.0) * 1000))
        if rang:
            self._rang_at = time.monotonic()
            self._ring.read()
        return rang

    def close(self) -> None:
        """Unmap the ring; may be called twice."""
        self._ring.close()
