"""Whether every hit of an event was read: compares the kernel's own count with the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from umtrace.sources.ftrace.instance import Instance

NEVER_CAME = "hits without a record"


class HitCount:
    """Compares ``kprobe_profile`` with what was decoded.

    The kernel stops recording into a ring buffer after an internal inconsistency. Then the
    statistics of the buffer do not show it, only the kernel's log.

    Parameters
    ----------
    instance : Instance
        Already recording.
    events : iterable of str
        Events that make a record of every hit, so no event with a filter.
    """

    def __init__(self, instance: Instance, events: Iterable[str]) -> None:
        self._instance = instance
        self._events = tuple(events)
        self._profile = self._before = instance.profile() or {}

    def read_profile(self) -> None:
        """Read the kernel's count; call it before the records are read."""
        self._profile = self._instance.profile() or {}

    def missing(self, decoded: Mapping[str, int], lost: int) -> dict[str, int]:
        """Return misses by event, and hits that have no record and are not counted as lost.

        Parameters
        ----------
        decoded : mapping
            Records read since the start, by event.
        lost : int
            Lost records of all events, by the buffer's statistics.
        """
        hits = (self._hits(name) - decoded.get(name, 0) for name in self._events)
        never = sum(max(0, hit) for hit in hits) - lost
        found = {name: misses for name, (_hits, misses) in self._profile.items() if misses}
        return found | ({NEVER_CAME: never} if never > 0 else {})

    def _hits(self, name: str) -> int:
        return self._profile.get(name, (0, 0))[0] - self._before.get(name, (0, 0))[0]
