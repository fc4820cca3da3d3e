"""What this host offers, each thing found by trying it, with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.offer import WANTED
from umtrace.kernel.rcu import rcu_state
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.records.errors import NotPermittedError, UmtraceError


@dataclass(frozen=True, slots=True)
class Feature:
    """One finding; ``remedy`` is empty where nothing is missing."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def features() -> list[Feature]:
    """Look at the host; reads only, attaches nothing."""
    probes: tuple[Callable[[], Feature], ...] = (_root, _btf, _symbols, _tracefs, _rcu)
    return [probe() for probe in probes]


def _root() -> Feature:
    uid = os.geteuid()
    if uid == 0:
        return Feature("privileges", True, "root")
    return Feature("privileges", False, f"user id {uid}", "run it with sudo")


def _btf() -> Feature:
    try:
        with Btf() as btf:
            known = btf.offset("mnt_namespace.ns.inum") is not None
    except BtfUnavailableError as error:
        lost = "mount namespaces and namespace exits are not seen"
        return Feature("BTF", False, f"{error}; {lost}", "boot a kernel with CONFIG_DEBUG_INFO_BTF")
    return Feature("BTF", known, "struct layouts known" if known else "mnt_namespace not described")


def _symbols() -> Feature:
    if Symbols.load(wanted=WANTED).known:
        return Feature("kernel symbols", True, "addresses readable")
    lost = "addresses hidden; waits have no name"
    return Feature("kernel symbols", False, lost, "sysctl kernel.kptr_restrict=1, as root")


def _tracefs() -> Feature:
    try:
        with Tracefs() as tracefs:
            tracefs.event_id("syscalls:sys_enter_umount")
    except NotPermittedError as error:
        return Feature("tracepoints", False, str(error))
    except UmtraceError as error:
        return Feature("tracepoints", False, str(error), "CONFIG_FTRACE_SYSCALLS is needed")
    return Feature("tracepoints", True, "syscalls:sys_enter_umount found")


def _rcu() -> Feature:
    state = rcu_state()
    if state["rcu_normal"] is None:
        return Feature("RCU", True, "not known whether expedited: /sys/kernel/rcu_normal unread")
    if not state["rcu_normal"]:
        return Feature("RCU", True, "grace periods of umount are expedited")
    why = "PREEMPT_RT sets it" if state["preempt_rt"] else "rcu_normal=1"
    detail = f"grace periods of umount are normal, some hundred times slower ({why})"
    return Feature("RCU", True, detail, "echo 0 > /sys/kernel/rcu_normal, if you may")
