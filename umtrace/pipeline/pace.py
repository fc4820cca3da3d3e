"""How long the reader sleeps, and with which priority it runs.

An umount shares its CPU with the reader. So the reader has the priority that it was started with,
and wakes a few times a second until events come. It has a higher priority only

- while events fill the ring faster than it reads them;
- while it sleeps, and until it has handled an EBUSY. On a loaded host it would otherwise wait for a
  CPU for longer than the holder stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

TICK_S = 0.05  #: one wait of a read while events come
IDLE_TICK_S = 0.25  #: and while none came for `IDLE_AFTER_S`
IDLE_AFTER_S = 1.0

READER_NICE = -15  #: while the ring fills, since with 64 busy tasks a fair share loses events
#: while it sleeps; another number, so that it can be seen which of the two it is
WAITING_NICE = -14
#: a read that finds more of the ring in use raises the priority; a probe wakes the reader at each
#: eighth of the ring, so it is raised long before the ring is full
RAISE_FILL = 1 / 16
#: reads that all find less restore it after `LOWER_AFTER_S`
LOWER_FILL = 1 / 64
LOWER_AFTER_S = 2.0


def _renice(nice: int) -> None:
    """Set the priority of this thread; without the right to raise it, it stays."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)  # of the thread, as Linux has it


class ReaderPriority:
    """Raises the priority of the calling thread while a ring fills; `close` restores it.

    Parameters
    ----------
    renice : callable
        Sets a nice value.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        *,
        renice: Callable[[int], None] = _renice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._renice, self._clock = renice, clock
        self._before = os.getpriority(os.PRIO_PROCESS, 0)
        self._now = self._before
        self._raised = False
        self._lower_at = 0.0

    def sleep(self) -> None:
        """Raise it until `woke`."""
        if not self._raised:
            self._apply(min(self._before, WAITING_NICE))

    def woke(self, *, busy: bool) -> None:
        """Restore it, if it was raised for a sleep only; after an EBUSY it stays until the next."""
        if not self._raised and not busy:
            self._apply(self._before)

    def note(self, fill: float | None) -> None:
        """Take the fill that a read found, 0 to 1; where it is unknown, the worst is assumed."""
        if fill is None or fill > RAISE_FILL:
            self._set(raised=True)
        if fill is None or fill > LOWER_FILL:
            self._lower_at = self._clock() + LOWER_AFTER_S
        elif self._raised and self._clock() >= self._lower_at:
            self._set(raised=False)

    def close(self) -> None:
        """Restore what was found; may be called twice."""
        self._set(raised=False)

    def _set(self, *, raised: bool) -> None:
        self._raised = raised
        self._apply(min(self._before, READER_NICE) if raised else self._before)

    def _apply(self, nice: int) -> None:
        if nice != self._now:
            self._now = nice
            self._renice(nice)


class Pace:
    """A steady one: every read waits equally long, and no priority changes."""

    @property
    def wait_s(self) -> float:
        """How long the next read may wait for events."""
        return TICK_S

    def note(self, fill: float | None, events: int, *, busy: bool = False) -> None:
        """Take what a read found: `Source.fill`, the number of events, whether one is an EBUSY."""


class LivePace(Pace):
    """Longer waits while nothing comes, and a priority that follows the fill.

    Parameters
    ----------
    priority : ReaderPriority
    left_s : callable
        How long the run lasts at most: the last wait is no longer.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        priority: ReaderPriority,
        *,
        left_s: Callable[[], float] = lambda: float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._priority, self._left_s, self._clock = priority, left_s, clock
        self._first = True
        self._idle_at = clock() + IDLE_AFTER_S
        self._ends_waits = False

    @property
    def wait_s(self) -> float:
        """A tick; longer while nothing comes, if the source would end the wait itself."""
        if not self._first:
            self._priority.sleep()
        idle = self._ends_waits and self._clock() >= self._idle_at
        # A wait of 0 would be the last one.
        return min(IDLE_TICK_S if idle else TICK_S, max(self._left_s(), 0.001))

    def note(self, fill: float | None, events: int, *, busy: bool = False) -> None:
        """Take what a read found; the first changes nothing, since the run starts others then."""
        self._ends_waits = fill is not None
        if events:
            self._idle_at = self._clock() + IDLE_AFTER_S
        if not self._first:
            self._priority.note(fill)
            self._priority.woke(busy=busy)
        self._first = False
