"""Device numbers as the kernel has them in memory, and as /proc/self/mountinfo writes them.

Not those of stat(2), which are encoded otherwise: for these there are os.major and os.minor.
"""

from __future__ import annotations

MINOR_BITS = 20  #: of a dev_t, below the major number: include/linux/kdev_t.h


def device_name(number: int) -> str:
    """Return a dev_t as ``major:minor``."""
    return f"{number >> MINOR_BITS}:{number & ((1 << MINOR_BITS) - 1)}"


def device_number(name: str) -> int:
    """Return the dev_t of ``major:minor``."""
    major, _, minor = name.partition(":")
    return int(major) << MINOR_BITS | int(minor)
