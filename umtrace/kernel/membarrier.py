"""How long a normal grace period takes, by membarrier(2): it needs neither probes nor privileges.

MEMBARRIER_CMD_GLOBAL is synchronize_rcu() and nothing else, as long as no switch turns that into
something else (kernel/sched/membarrier.c).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping

from umtrace.kernel.rcu import rcu_state
from umtrace.kernel.syscalls import syscall

_NUMBERS = {"x86_64": 324, "aarch64": 283, "s390x": 356, "ppc64le": 365, "riscv64": 283}
_QUERY, _GLOBAL = 0, 1
#: why nothing is measured where the umounts themselves show it
IN_THE_ROWS = "rcu_normal is set: the RCU wait of an umount is a normal grace period"


def why_not(state: Mapping[str, object] | None = None, cpus: int | None = None) -> str:
    """Return why the call does not show the length of normal grace periods here; empty if it does.

    Parameters
    ----------
    state : mapping, optional
        What `rcu_state` returns, instead of this host's.
    cpus : int, optional
        CPUs that are online, instead of this host's.
    """
    state = rcu_state() if state is None else state
    online = os.sysconf("SC_NPROCESSORS_ONLN") if cpus is None else cpus
    if state["rcu_normal"] == 1:
        return IN_THE_ROWS
    if state["rcu_normal"] is None or state["rcu_expedited"] is None:
        return "rcu_normal and rcu_expedited cannot be read"
    if state["rcu_expedited"]:
        return "rcu_expedited is set: membarrier(2) waits for an expedited grace period"
    if online == 1:
        return "one CPU is online: membarrier(2) returns at once"
    return _refusal()


def _refusal() -> str:
    try:
        number = _NUMBERS[platform.machine()]
        if syscall(number, _QUERY, 0, 0) & _GLOBAL:
            return ""
    except KeyError:
        return f"the number of membarrier(2) on {platform.machine()} is not known"
    except OSError as error:  # a kernel without it, a filter of system calls
        return f"membarrier(2): {error.strerror}"
    return "nohz_full: this kernel does not have MEMBARRIER_CMD_GLOBAL"


def wait_ns() -> int:
    """Wait for a grace period and return how long that took, ns; OSError where it is refused."""
    number = _NUMBERS[platform.machine()]
    begin = time.monotonic_ns()
    syscall(number, _GLOBAL, 0, 0)
    return time.monotonic_ns() - begin
