"""Decides when the hot probes, those on path walks, are attached.

With ``--probes full`` they always are. With ``adaptive`` they are attached when an umount was busy
or its RCU wait slow, since then path walkers may be the cause, and for a while after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from umtrace.model.kinds import Kind

if TYPE_CHECKING:
    from umtrace.model.events import Array

_EBUSY = 16
_SLOW_NS = 100_000_000
_STAY_S = 10.0
_DRAIN_S = 5.0  # as long as a row waits for its last put


class AdaptiveProbes:
    """Attaches and detaches the walker probes, and announces it to the BPF programs.

    The walkers of an umount are counted if it begins while the probes are announced. They stay
    attached for a while after that, so that each of these counts is complete.

    Parameters
    ----------
    attach, detach, announce : callable
        ``announce`` gets whether walkers are watched.
    adaptive : bool
        False attaches at once and never detaches.
    """

    def __init__(
        self,
        *,
        attach: Callable[[], object],
        detach: Callable[[], object],
        announce: Callable[[bool], None],
        adaptive: bool,
    ) -> None:
        self._attach = attach
        self._detach = detach
        self._announce = announce
        self._adaptive = adaptive
        self._until = 0.0
        self._attached = False
        self._began, self._watched_s = 0.0, 0.0
        self.watching = False
        self.times = 0  #: number of times that watching began
        if not adaptive:
            self._start(time.monotonic())

    @property
    def watched_s(self) -> float:
        """Seconds during which walkers were watched so far."""
        return self._watched_s + (time.monotonic() - self._began if self.watching else 0.0)

    def update(self, events: Array) -> None:
        """Attach or detach, depending on the umounts in a batch of events."""
        if not self._adaptive:
            return
        now = time.monotonic()
        if _matters(events):
            self._until = now + _STAY_S
            if not self.watching:
                self._start(now)
        elif self.watching and now >= self._until:
            self._announce(False)
            self.watching = False
            self._watched_s += now - self._began
        elif self._attached and not self.watching and now >= self._until + _DRAIN_S:
            self._detach()
            self._attached = False

    def _start(self, now: float) -> None:
        if not self._attached:
            self._attach()
            self._attached = True
        self._announce(True)
        self.watching = True
        self._began = now
        self.times += 1


def _matters(events: Array) -> bool:
    import numpy as np  # noqa: PLC0415 - probes are attached without it

    exits = events[events["kind"] == Kind.EXIT]
    if (exits["ret"] == -_EBUSY).any():
        return True
    waits = events[np.isin(events["kind"], (Kind.RCU, Kind.RCU_EXIT))]
    if len(waits) < 2:  # noqa: PLR2004 - a pair
        return False
    order = np.argsort(waits["tid"], kind="stable")
    tid, ts = waits["tid"][order], waits["ts_ns"][order].astype(np.int64)
    return bool(((np.diff(ts) > _SLOW_NS) & (tid[1:] == tid[:-1])).any())
