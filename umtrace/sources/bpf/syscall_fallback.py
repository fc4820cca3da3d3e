"""Ends an umount by the next system call of its task, where nothing else will end it.

In the function tiers the task's list of work shows when an umount is over. It does not where
another task still holds the mount of a closed descriptor, or where the kernel skipped a hit. The
next system call of the task then ends the umount. To see it, a probe puts every system call of the
host on the kernel's slow path, so it is attached for short times only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_CHECK_S = 0.25
_STAY_S = 2.0  # if the task makes no system call in this time, the probe costs more than it shows
_REST_S = 30.0


class SyscallFallback:
    """Attaches and detaches the probe at every system call's entry.

    Parameters
    ----------
    waiting : callable
        Returns the number of umounts that wait for a system call.
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
        self._next_check = 0.0
        self._until = 0.0
        self._waited = False  # one umount that waited at the last check may have ended by itself
        self._attached = False
        self.times = 0  #: number of times that it was attached

    def update(self) -> None:
        """Attach or detach, a few times a second, depending on whether an umount waits."""
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_S
        waiting = self._waiting() > 0
        if self._attached and (not waiting or now >= self._until):
            self._detach()
            self._attached = False
            self._next_check = now + (_REST_S if waiting else _CHECK_S)
        elif waiting and self._waited and not self._attached:
            self._attach()
            self._attached = True
            self._until = now + _STAY_S
            self.times += 1
        self._waited = waiting
