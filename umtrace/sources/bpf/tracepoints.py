"""Attaches a tier's tracepoints.

The tracepoint tier has nothing else. In the function tiers a tracepoint is attached only where the
functions of this kernel do not show the same, since a program at a system call or a context switch
costs every task of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from umtrace.kernel.refusals import addresses_hidden
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.plan_line import PlanLine
from umtrace.probes.capabilities import Capabilities
from umtrace.probes.plan import Plan, needs_switches, not_ended_by_work
from umtrace.probes.purposes import SYSTEM_CALL
from umtrace.sources.base import UNSEEN_32, UNSEEN_OTHERS, UNSEEN_SLEEPLESS
from umtrace.sources.bpf.births import attach_births
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import ProgramType
from umtrace.sources.bpf.syscall_fallback import SyscallFallback

NEXT_SYSCALL = "um_next_syscall"
SWITCH = "sched:sched_switch"
_END = "return to user mode"


@dataclass(slots=True, kw_only=True)
class Tracepoints:
    """The tracepoints of one recorder.

    Attributes
    ----------
    offer, plan : Capabilities, Plan
        As they are after the functions have been attached.
    raw_switches : bool
        Whether struct offsets allow the cheaper of two probes on context switches.
    ends_missed : callable
        Returns how many hits of the function that ends operations the kernel has skipped.
    lines : list of PlanLine
        What was attached, for the plan.
    stragglers : SyscallFallback or None
        Its ``update`` must be called after each read.
    """

    loaded: BpfObject
    tracefs: Tracefs
    offer: Capabilities
    plan: Plan
    raw_switches: bool
    ends_missed: Callable[[], int]
    lines: list[PlanLine] = field(default_factory=list)
    stragglers: SyscallFallback | None = None
    _missed_so_far: int = 0

    def attach(self) -> None:
        """Attach what this tier needs on this kernel.

        Raises
        ------
        NoTierError, NotPermittedError
            The kernel refuses one of them.
        """
        functions = bool(self.plan.placement)
        lacking = "origin, n_mounts" if functions else "waits, ns-exit"
        hidden = "" if self.offer.symbols_known else f"{lacking} ({addresses_hidden()})"
        why = needs_switches(self.offer, self.plan)
        if not functions:
            self._attach_switches(lost=hidden)
        elif why:
            self._attach_switches(instead_of=why)
        self.loaded.attach_raw("sched_process_exit", "um_process_exit")
        missing = self.offer.btf_missing
        lost = f"mount namespace, ns-exit ({missing})" if missing else hidden
        self._note("namespace exit", "sched:sched_process_exit", "raw tracepoint", lost=lost)
        self.lines.append(attach_births(self.loaded, self.tracefs))
        objection = not_ended_by_work(self.offer, self.plan)
        if objection or not functions:
            self.loaded.attach_raw("sys_enter", NEXT_SYSCALL)
            instead_of = objection if functions else ""
            self._note(_END, "raw_syscalls:sys_enter", "raw tracepoint", instead_of=instead_of)
        else:
            self._watch_stragglers()
        if self.plan.probe_for(SYSTEM_CALL) is None:
            self._attach_operation()

    def _attach_switches(self, *, lost: str = "", instead_of: str = "") -> None:
        if self.raw_switches:
            self.loaded.attach_raw("sched_switch", "um_switch")
        else:
            self._attach(SWITCH, "um_switch")
        how = "raw tracepoint" if self.raw_switches else "tracepoint"
        self._note("waits", f"{SWITCH}, kernel stack", how, lost=lost, instead_of=instead_of)
        if not self.plan.placement:
            # By setns(), unshare(), or the close of a file of nsfs: seen from the first sleep on.
            self._note("other namespace ends", f"{SWITCH}, kernel stack", how, lost=lost)

    def _watch_stragglers(self) -> None:
        self.stragglers = SyscallFallback(
            waiting=self._unended,
            attach=lambda: self.loaded.attach_raw("sys_enter", NEXT_SYSCALL),
            detach=lambda: self.loaded.detach(NEXT_SYSCALL),
        )
        where = "umount ends" if self.plan.light else "umount and cleanup_mnt end"
        self._note(_END, "task_struct.task_works", f"read as {where}")

    def _unended(self) -> int:
        """Return how many umounts wait for the next system call of their task."""
        _followed, leaving, unended = self.loaded.words("active", 3)
        missed = self.ends_missed()
        if not leaving:
            self._missed_so_far = missed
        return leaving if missed > self._missed_so_far else unended

    def _attach_operation(self) -> None:
        """Attach what opens an operation; last, so that all other probes see a whole operation."""
        self._attach("syscalls:sys_exit_umount", "um_exit")
        self._attach("syscalls:sys_enter_umount", "um_enter")
        self._note("operation", "syscalls:sys_enter_umount, sys_exit_umount", "tracepoint")
        if not self.plan.placement:  # where functions are probed, path_umount sees them
            self.lines += [UNSEEN_32, UNSEEN_SLEEPLESS, UNSEEN_OTHERS]

    def _attach(self, event: str, function: str) -> None:
        self.loaded.attach_event(self.tracefs.event_id(event), function, ProgramType.TRACEPOINT)

    def _note(
        self, meaning: str, probe: str, how: str, *, lost: str = "", instead_of: str = ""
    ) -> None:
        line = PlanLine(meaning=meaning, probe=probe, how=how)
        if lost:
            line = replace(line, state="lost", reason=lost)
        elif instead_of:  # why the preferred function cannot be used
            line = replace(line, state="substitute", reason=instead_of)
        self.lines.append(line)
