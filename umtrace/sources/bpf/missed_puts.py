"""Notes when puts of path walkers were not seen: what they are counted by proves nothing then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from umtrace.model.clock import monotonic_ns
from umtrace.model.events import EVENT_DTYPE, FOREIGN, Array, Kind

_MOST = 0xFFFFFFFF


class MissedPuts:
    """Puts an event before a batch that may lack some.

    Parameters
    ----------
    counts : sequence of callables
        Each returns how many were lost in one way so far, None where the kernel does not count.
    """

    def __init__(self, counts: Sequence[Callable[[], int | None]]) -> None:
        self._counts = counts
        self._lost = self._count()
        self._at_ns = monotonic_ns()

    def note(self, drained: Array) -> Array:
        """Return a batch that has just been drained, with what was lost before it.

        Before, so that whoever goes by the batch's events knows already.
        """
        before, lost, now = monotonic_ns(), self._count(), monotonic_ns()
        if lost != self._lost:
            event = np.zeros(1, EVENT_DTYPE)
            event["kind"], event["cpu"] = Kind.SKIPPED, FOREIGN
            event["ts_ns"], event["a"] = now, self._at_ns
            event["b"] = min(max(lost - self._lost, 0), _MOST)
            drained = np.concatenate([event, drained])
        self._lost, self._at_ns = lost, before  # what is lost as they are counted may be missed
        return drained

    def _count(self) -> int:
        return sum(count() or 0 for count in self._counts)
