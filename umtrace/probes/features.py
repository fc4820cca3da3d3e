"""What this host offers: each feature is found by trying it, and has a command as its remedy."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from umtrace.kernel.btf import Btf, BtfUnavailableError
from umtrace.kernel.rcu import rcu_state
from umtrace.kernel.refusals import LOCKDOWN, hidden_addresses, lockdown, missing_capability
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import NoTierError, UmtraceError
from umtrace.probes.capabilities import WANTED


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature; ``ok`` is None if it is unknown, ``remedy`` is empty if none is known."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def features() -> list[Feature]:
    """Return the features of the host; reads only, attaches nothing."""
    probes: tuple[Callable[[], Feature], ...] = (_root, _lockdown, _btf, _symbols, _tracefs, _rcu)
    return [probe() for probe in probes]


def _root() -> Feature:
    uid = os.geteuid()
    missing = missing_capability()
    if not missing:
        return Feature("privileges", True, "root")
    who, _, remedy = missing.partition(": ")
    return Feature("privileges", False, f"user id {uid}; {who}", remedy)


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
    why, remedy = hidden_addresses()
    return Feature("kernel symbols", False, f"addresses hidden ({why}); waits have no name", remedy)


def _tracefs() -> Feature:
    try:
        with Tracefs() as tracefs:
            tracefs.event_id("syscalls:sys_enter_umount")
    except NoTierError as error:
        return Feature(
            "tracepoints", False, str(error), "boot a kernel with CONFIG_FTRACE_SYSCALLS"
        )
    except UmtraceError as error:
        return Feature("tracepoints", False, str(error))
    return Feature("tracepoints", True, "syscalls:sys_enter_umount found")


def _lockdown() -> Feature:
    mode = lockdown()
    if mode == "confidentiality":
        lost = "it refuses BPF, kprobes and tracefs"
        remedy = "boot with lockdown=integrity or none"
        return Feature("lockdown", False, f"{mode}: {lost}", remedy)
    if mode is None:
        return Feature("lockdown", None, *_why_unknown())
    return Feature("lockdown", True, mode)


def _why_unknown() -> tuple[str, str]:
    """Return why the mode of the lockdown is unknown, and what would show it."""
    place = LOCKDOWN.parent
    if not place.is_dir():
        return "not known: this kernel has no securityfs", ""
    if not any(place.iterdir()):
        return "not known: securityfs is not mounted", f"mount -t securityfs securityfs {place}"
    if LOCKDOWN.exists():
        return f"not known: {LOCKDOWN} cannot be read", "run it as root"
    return "not known: this kernel does not say", ""


def _rcu() -> Feature:
    state = rcu_state()
    if state["rcu_normal"] is None:
        unread = "/sys/kernel/rcu_normal cannot be read"
        return Feature("RCU", None, f"not known whether grace periods are expedited: {unread}")
    if not state["rcu_normal"]:
        return Feature("RCU", True, "grace periods of umount are expedited")
    why = "PREEMPT_RT sets it" if state["preempt_rt"] else "rcu_normal=1"
    detail = f"grace periods of umount are normal, some hundred times slower ({why})"
    return Feature("RCU", True, detail, "echo 0 > /sys/kernel/rcu_normal, if you may")
