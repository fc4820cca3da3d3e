"""Whether every hit of an event came: the kernel's own count against the records read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from umtrace.sources.ftrace.instance import Instance

NEVER_CAME = "hits without a record"


class HitCount:
    """Compares ``kprobe_profile`` with what was decoded.

    A ring buffer that stopped recording (the kernel does so after an inconsistency of its
    own, with a line in its log only) says nothing in its statistics.

    Parameters
    ----------
    instance : Instance
        Already recording.
    events : iterable of str
        Those whose every hit makes a record: none with a filter.
    """

    def __init__(self, instance: Instance, events: Iterable[str]) -> None:
        self._instance = instance
        self._events = tuple(events)
        self._profile = self._before = instance.profile() or {}

    def look(self) -> None:
        """Take the kernel's count; call it before the records are read."""
        self._profile = self._instance.profile() or {}

    def missing(self, decoded: Mapping[str, int], lost: int) -> dict[str, int]:
        """Return misses by event, and hits that neither came nor are known to be lost.

        Parameters
        ----------
        decoded : mapping
            Records read since the start, by event.
        lost : int
            Those that the buffer's statistics count, of whatever event.
        """
        hits = (self._hits(name) - decoded.get(name, 0) for name in self._events)
        never = sum(max(0, hit) for hit in hits) - lost
        found = {name: misses for name, (_hits, misses) in self._profile.items() if misses}
        return found | ({NEVER_CAME: never} if never > 0 else {})

    def _hits(self, name: str) -> int:
        return self._profile.get(name, (0, 0))[0] - self._before.get(name, (0, 0))[0]
