"""What a source of events is: live BPF, ftrace, a recording, or a fake one (`sources.fake`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from umtrace.model.clock import ClockPair
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.probes.purposes import SYSTEM_CALL_32

if TYPE_CHECKING:
    from umtrace.model.events import EventBatch
    from umtrace.model.open_tasks import OpenTask

#: line of the plan wherever umount(2) is seen by its tracepoints alone
UNSEEN_32 = PlanLine(
    meaning=SYSTEM_CALL_32.name,
    state="lost",
    # ARCH_TRACE_IGNORE_COMPAT_SYSCALLS, of x86, arm64 and others
    reason="32-bit (compat) umount calls (no system call tracepoint reports them)",
)

_OTHERS = "unmounts by unlink, expiry, a failed mount, or the close of a detached mount"
#: line of the plan where no function is probed, for other operations than umount(2)
UNSEEN_OTHERS = PlanLine(
    meaning="other teardowns",
    state="lost",
    reason=f"{_OTHERS} (only function probes see them)",
)
#: line of the plan where only a sleep shows the end of a mount namespace
UNSEEN_SLEEPLESS = PlanLine(
    meaning="namespace ends without a sleep",
    state="lost",
    reason="ends of mount namespaces in which no task sleeps",
)
UNSEEN_NAMESPACES = PlanLine(
    meaning="other namespace ends",
    state="lost",
    reason="mount namespaces destroyed by setns, unshare or the close of a file",
)


class Follower(Protocol):
    """Knows which processes are of the recorded command."""

    def starting(self) -> AbstractContextManager[None]:
        """Take what this process forks meanwhile for the command."""

    def __call__(self, pid: int) -> bool | None:
        """Whether a process is of the command; None is not known."""


class TaskWalk(Protocol):
    """Knows which processes have something open on some mounts."""

    def __call__(self, mount_ids: Collection[int]) -> Sequence[int]:
        """Return their ids, as the host has them; empty also if they cannot be found."""


class Source(Protocol):
    """Yields batches of events; the later stages need not know which source it is.

    ``tier`` is the name in rows and in ``meta.json``. Where tiers differ, their records
    (`model.tiers`) have a property for it: a consumer asks for that, never for the name.

    ``open`` attaches the probes, ``read`` returns the events that are there. ``close`` leaves the
    kernel as it was before, and may be called twice.
    """

    tier: str
    clock: ClockPair

    def open(self) -> None:
        """Start to deliver; raise an UmtraceError when that is not possible."""

    def read(self, timeout_s: float) -> EventBatch | None:
        """Return the events that come within ``timeout_s`` (maybe none); None after the last."""

    def fill(self) -> float | None:
        """Return how full the last read found the fullest buffer, 0 to 1; None is unknown.

        A source that returns a number also ends a wait early when its buffer fills.
        """

    def open_tasks(self) -> Sequence[OpenTask] | None:
        """Return the operations that run now; None if the source cannot say it.

        The later stages know an operation by its events, too. This says where it is even if the
        kernel side keeps events back, or if some were lost.
        """

    def follow_command(self) -> Follower | None:
        """Follow the processes of a command from now on; None if the source cannot."""

    def bell(self) -> int | None:
        """Return a descriptor that is readable when a probe wakes the reader; None if none does."""

    def task_walk(self) -> TaskWalk | None:
        """Return what finds the processes on a mount; None if the source cannot."""

    def losses(self) -> LossReport:
        """Return everything lost since ``open``."""

    def plan(self) -> list[PlanLine]:
        """Return the probe plan: what was decided for each meaning, and why."""

    def close(self) -> None:
        """Detach everything."""
