"""Notes when puts of path walkers were not seen, since their counts prove nothing then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from umtrace.model.clock import monotonic_ns
from umtrace.model.events import EVENT_DTYPE, FOREIGN, Array, Kind

_MOST = 0xFFFFFFFF


class MissedPuts:
    """Adds an event before a batch in which puts may be missing.

    Parameters
    ----------
    counts : sequence of callables
        Each returns how many were lost in one way so far, None if the kernel does not count it.
    """

    def __init__(self, counts: Sequence[Callable[[], int | None]]) -> None:
        self._counts = counts
        self._lost = self._count()
        self._at_ns = monotonic_ns()

    def note(self, drained: Array) -> Array:
        """Return a batch that has just been drained, after an event with what was lost.

        The event comes first, since it decides how the events of the batch are read.
        """
        before, lost, now = monotonic_ns(), self._count(), monotonic_ns()
        if lost != self._lost:
            event = np.zeros(1, EVENT_DTYPE)
            event["kind"], event["cpu"] = Kind.SKIPPED, FOREIGN
            event["ts_ns"], event["a"] = now, self._at_ns
            event["b"] = min(max(lost - self._lost, 0), _MOST)
            drained = np.concatenate([event, drained])
        self._lost, self._at_ns = lost, before  # before: losses during the count may not be in it
        return drained

    def _count(self) -> int:
        return sum(count() or 0 for count in self._counts)
