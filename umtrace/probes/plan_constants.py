"""What the compiler needs of the plan of a tier with function probes."""

from __future__ import annotations

from umtrace.model.pathcalls import words as path_call_words
from umtrace.probes.capabilities import Capabilities
from umtrace.probes.plan import Plan, needs_switches, not_ended_by_work
from umtrace.probes.purposes import LOCK_WAIT, PROPAGATION, SYSTEM_CALL


def plan_constants(offer: Capabilities, plan: Plan, placement: str) -> dict[str, int | str]:
    """Return the constants by name.

    Parameters
    ----------
    placement : str
        ``fentry`` or ``kprobe``.
    """
    constants: dict[str, int | str] = {"UM_FUNCTIONS": 1}
    if plan.light:
        constants["UM_LIGHT"] = 1
    if plan.probe_for(SYSTEM_CALL):
        constants["UM_SYSCALL_FUNCTION"] = 1
    for name, what in (("UM_LOCK_WAITS", LOCK_WAIT), ("UM_SPREAD", PROPAGATION)):
        if plan.probe_for(what):
            constants[name] = 1
    if not not_ended_by_work(offer, plan):
        constants["UM_ENDS_BY_WORK"] = 1
    # A context switch could send an event while a program notes one.
    if not plan.light and not needs_switches(offer, plan):
        constants["UM_NOTES"] = 1
    if placement == "fentry":
        by_kprobe = any(probe.how == "kprobe" for probe in plan.probes)
        constants["UM_FENTRY_WALKS" if by_kprobe else "UM_FENTRY"] = 1
    if any(probe.hot for probe in plan.probes):
        constants["UM_WITH_WALKERS"] = 1
        constants["UM_PATH_CALLS"] = " ".join(
            f"UM_WORD({n}, {word:#x}ULL)" for n, word in enumerate(path_call_words())
        )
    return constants
