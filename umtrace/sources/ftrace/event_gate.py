"""Lets context switches and system calls into a second instance only while they matter.

Nothing in tracefs can filter by "tasks that are in umount" where dynamic events and hist
triggers are missing. But an event can switch another one on: the entry of umount(2) lets
context switches in, and its successful return lets system call entries in. They are
switched off from here once nobody is in an umount any more.
"""

from __future__ import annotations

import time
from contextlib import suppress

from umtrace.model.clock import monotonic_ns
from umtrace.model.errors import UmtraceError
from umtrace.sources.ftrace.instance import Instance

ENTER, EXIT = "syscalls:sys_enter_umount", "syscalls:sys_exit_umount"
SWITCH, NEXT = "sched:sched_switch", "raw_syscalls:sys_enter"
_QUIET_S = 0.25  # no umount for so long: the next one is not expected within a moment


class Gate:
    """Of one instance; closed until the first umount.

    Attributes
    ----------
    waits, ends : bool
        Whether switches, or system calls, can be let in here.
    closed_ns : int
        When it was closed last, on the records' clock: an umount that was under way then
        without being known of is not seen whole.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.waits = instance.trigger(ENTER, f"enable_event:{SWITCH}")
        self.ends = instance.trigger(EXIT, f"enable_event:{NEXT} if ret == 0")
        self.closed_ns = 0
        self._open = False
        self._quiet_since = 0.0

    def update(self, *, seen: bool, busy: bool) -> bool:
        """Close it if nobody has been in an umount for a while; say if that happened now.

        Parameters
        ----------
        seen : bool
            Umounts began or ended since the last call: the kernel opened the gate.
        busy : bool
            Somebody is in an umount, or there are records that nobody has looked at.
        """
        self._open |= seen
        if seen or busy or not self._open:
            self._quiet_since = time.monotonic()
            return False
        if time.monotonic() - self._quiet_since < _QUIET_S:
            return False
        self._open = False
        for event in (SWITCH, NEXT):
            with suppress(UmtraceError):
                self._instance.write(f"events/{event.replace(':', '/')}/enable", "0")
        self.closed_ns = monotonic_ns()
        return True
