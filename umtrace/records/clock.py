"""Event times are CLOCK_MONOTONIC; rows carry wall clock time. The pair joins them."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockPair:
    """One instant read on both clocks, in ns."""

    monotonic_ns: int
    realtime_ns: int

    @property
    def offset_ns(self) -> int:
        """What to add to a monotonic time to get wall clock time."""
        return self.realtime_ns - self.monotonic_ns

    @classmethod
    def now(cls) -> ClockPair:
        """Read both clocks, the realtime one between two monotonic readings."""
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        real = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return cls((before + after) // 2, real)
