"""Event times are CLOCK_MONOTONIC; rows carry wall clock time. The pair joins them.

Wall clock times are shown in UTC, whatever the zone of the reader, and say so: `utc` is the one
way from ns to a date.

The probes read the host's clock. In a time namespace ours is another one, by days.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

from umtrace.model.errors import UsageError

_NS_PER_S = 10**9
_OURS, _CHILDREN = "/proc/self/ns/time", "/proc/self/ns/time_for_children"
_OFFSETS = Path("/proc/self/timens_offsets")
#: PROC_TIME_INIT_INO: the inode of the first time namespace
_FIRST = f"time:[{0xEFFFFFFA}]"


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
        """Read the host's clocks, the realtime one between two monotonic readings."""
        here = cls.here()
        return cls(here.monotonic_ns - namespace_offset_ns(), here.realtime_ns)

    @classmethod
    def here(cls) -> ClockPair:
        """Read the clocks as this time namespace has them."""
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        real = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return cls((before + after) // 2, real)


def utc(ns: int) -> datetime:
    """Return a wall clock time, ns since the epoch, as a date of UTC in whole µs."""
    seconds, rest = divmod(ns, _NS_PER_S)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)


def iso(ns: int) -> str:
    """Return a wall clock time for programs, with all its ns: `2026-11-25T16:06:38.894000001Z`."""
    return f"{utc(ns):%Y-%m-%dT%H:%M:%S}.{ns % _NS_PER_S:09}Z"


def date_time(ns: int, *, ms: bool = False) -> str:
    """Return a wall clock time for people: `2026-11-25 16:06:38 UTC`, or `…38.894 UTC`."""
    when = utc(ns)
    rest = f".{when.microsecond // 1000:03}" if ms else ""
    return f"{when:%Y-%m-%d %H:%M:%S}{rest} UTC"


def monotonic_ns() -> int:
    """Return the host's CLOCK_MONOTONIC, which events are stamped with."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - namespace_offset_ns()


@lru_cache(maxsize=1)
def namespace_offset_ns() -> int:
    """Return what this time namespace adds to the host's CLOCK_MONOTONIC.

    Raises UsageError where that cannot be known.
    """
    try:
        ours, children = os.readlink(_OURS), os.readlink(_CHILDREN)  # noqa: PTH115 - text
    except OSError:  # Linux before 5.6 has none
        return 0
    if ours == _FIRST:
        return 0
    if ours != children:  # the offsets are those of the children's
        raise UsageError("the offset of this time namespace is not known; start a new process")
    for line in _OFFSETS.read_text("ascii").splitlines():
        name, seconds, ns = line.split()
        if name in ("monotonic", str(time.CLOCK_MONOTONIC)):
            return int(seconds) * _NS_PER_S + int(ns)
    return 0
