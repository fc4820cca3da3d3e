"""Times in which not everything was seen."""

from __future__ import annotations

from collections import deque

_MOST = 4096
_JOINED_NS = 1_000_000


class Holes:
    """Bounded: of more than 4096 holes, the oldest ones become one that reaches back to the start.

    A hole that begins in the one before, or less than a millisecond after it, becomes part of it.

    Attributes
    ----------
    dropped : int
        Holes that are known by their latest end only.
    """

    def __init__(self) -> None:
        self._holes: deque[tuple[int, int]] = deque()
        self._all_before = 0
        self.dropped = 0

    def add(self, begin_ns: int, end_ns: int) -> None:
        """Note a hole."""
        if self._holes:
            begin, end = self._holes[-1]
            if begin <= begin_ns <= end + _JOINED_NS:
                self._holes.pop()
                begin_ns, end_ns = begin, max(end, end_ns)
        self._holes.append((begin_ns, end_ns))
        if len(self._holes) > _MOST:
            self._all_before = max(self._all_before, self._holes.popleft()[1])
            self.dropped += 1

    def first(self, begin_ns: int, end_ns: int) -> int | None:
        """Return the first time in between at which something may not have been seen."""
        if begin_ns <= self._all_before:
            return begin_ns
        found = [begin for begin, end in self._holes if begin <= end_ns and end >= begin_ns]
        return max(min(found), begin_ns) if found else None
