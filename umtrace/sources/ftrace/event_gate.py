"""Records context switches and system calls, in a second instance, only during umounts.

Without dynamic events and hist triggers, tracefs has no filter for tasks that are in an umount. But
an event can switch another one on. So the entry of umount(2) switches on context switches, and its
successful return switches on system call entries. Once no task is in an umount any more, this
module switches both off.
"""

from __future__ import annotations

import time
from contextlib import suppress

from umtrace.model.clock import monotonic_ns
from umtrace.model.errors import UmtraceError
from umtrace.sources.ftrace.instance import Instance

ENTER, EXIT = "syscalls:sys_enter_umount", "syscalls:sys_exit_umount"
SWITCH, NEXT = "sched:sched_switch", "raw_syscalls:sys_enter"
_QUIET_S = 0.25  # after this time without an umount, the next one is not expected soon


class Gate:
    """The gate of one instance; closed until the first umount.

    Attributes
    ----------
    waits, ends : bool
        Whether this kernel can switch on context switches, or system calls, in this way.
    closed_ns : int
        When it was closed last, on the records' clock. An umount that had begun by then, and was
        not known yet, is not fully seen.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.waits = instance.trigger(ENTER, f"enable_event:{SWITCH}")
        self.ends = instance.trigger(EXIT, f"enable_event:{NEXT} if ret == 0")
        self.closed_ns = 0
        self._open = False
        self._quiet_since = 0.0

    def update(self, *, seen: bool, busy: bool) -> bool:
        """Close it if no task was in an umount for a while; return whether it was closed now.

        Parameters
        ----------
        seen : bool
            Umounts began or ended since the last call, so the kernel has opened the gate.
        busy : bool
            A task is in an umount, or there are records that were not read yet.
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
