"""What a recording says of its host: the length of normal grace periods, and of a timer tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from umtrace.recording.meta import Meta
from umtrace.whatif.designs import LEAST_HZ, MOST_HZ

#: key in meta.json; docs/recording.md
KEY = "normal_gp"
#: key in meta.json: timer ticks a second, null where the kernel's options are not readable
HZ = "hz"
_MOST = 10_000
_LONGEST_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Lengths, ns, which may be none; ``why`` says why there are none, or no more; empty else."""

    lengths_ns: tuple[int, ...] = ()
    why: str = ""


def measured(meta: Meta) -> Measured:
    """Return what was measured; a value that no host can have is as if none were there."""
    found = meta.extra.get(KEY)
    if not isinstance(found, Mapping):
        return Measured(why="umtrace measures it since 0.3")
    return Measured(lengths_ns=_lengths(found.get("lengths_ns")), why=_text(found.get("why")))


def recorded_hz(meta: Meta) -> int | None:
    """Return the timer ticks a second of the recorded kernel; None is unknown, or impossible."""
    value = meta.extra.get(HZ)
    return value if type(value) is int and LEAST_HZ <= value <= MOST_HZ else None


def _lengths(value: object) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else []
    plausible = all(type(each) is int and 0 < each <= _LONGEST_NS for each in listed)
    return tuple(listed) if plausible and len(listed) <= _MOST else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
