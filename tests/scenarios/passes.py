"""How long a walker was inside a mount, by its own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from umtrace.exercise.children import SharedWords

_MOST: Final = 64
_SLOW_NS: Final = 1_000_000


class SlowPasses:
    """Begin and end of the passes that took long, CLOCK_MONOTONIC; shared with forked walkers.

    Word 0 counts them; walkers that race for a place may overwrite each other's.
    """

    def __init__(self) -> None:
        self._shared = SharedWords(1 + 2 * _MOST)

    def time(self, step: Callable[[], object]) -> None:
        """Make one pass."""
        begin = time.monotonic_ns()
        step()
        end = time.monotonic_ns()
        words = self._shared.words
        at = words[0]
        if end - begin > _SLOW_NS and at < _MOST:
            words[1 + 2 * at], words[2 + 2 * at] = begin, end
            words[0] = at + 1

    def longest_after(self, begin_ns: int, end_ns: int) -> int:
        """Return for how long a pass went on after ``begin_ns`` that was under way by ``end_ns``.

        The caller asked between these moments; 0 for none.
        """
        times = self._shared.words.tolist()
        pairs = zip(times[1::2], times[2::2], strict=True)
        found = ((begin, end) for begin, end in pairs if begin <= end_ns and end >= begin_ns)
        return max((end - max(begin, begin_ns) for begin, end in found), default=0)

    def close(self) -> None:
        """Unmap them."""
        self._shared.close()
