"""Looks for the end of an umount that nothing else will end, while there is one.

In the function tiers a task's own list of work says when its umount is over. A few cannot be
told so: a descriptor whose mount somebody else still holds, a hit that the kernel skipped.
Their task's next system call ends them, and to see it puts every system call of the host on
the kernel's slow path: so it is looked for in short spells only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_S = 0.25
_STAY_S = 2.0  # whoever makes no system call for so long keeps no one waiting
_REST_S = 30.0


class SyscallFallback:
    """Attaches and detaches the probe at every system call's entry.

    Parameters
    ----------
    waiting : callable
        How many umounts wait for a system call to end them.
    attach, detach : callable
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        *,
        waiting: Callable[[], int],
        attach: Callable[[], object],
        detach: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = waiting
        self._attach = attach
        self._detach = detach
        self._clock = clock
        self._next_look = 0.0
        self._until = 0.0
        self._waited = False  # there was one at the last look, which may have been mid-way
        self._attached = False
        self.times = 0  #: how often it was attached

    def look(self) -> None:
        """Look whether anybody waits, a few times a second."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        waiting = self._waiting() > 0
        if self._attached and (not waiting or now >= self._until):
            self._detach()
            self._attached = False
            self._next_look = now + (_REST_S if waiting else _LOOK_S)
        elif waiting and self._waited and not self._attached:
            self._attach()
            self._attached = True
            self._until = now + _STAY_S
            self.times += 1
        self._waited = waiting
