"""What the kernel side says of an operation while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from umtrace.model.kinds import Kind, OnStack

_BY_KIND = {
    Kind.ENTER: "lookup",
    Kind.PATH_UMOUNT: "lock",
    Kind.MOUNT: "lock",
    Kind.CHECK: "tree",
    Kind.CHECKED: "tree",
    Kind.TREE: "tree",
    Kind.TEARDOWN: "tree",
    Kind.UNLOCK: "put",
    Kind.RCU: "rcu",
    Kind.RCU_EXIT: "put",
    Kind.UNLOCK_EXIT: "put",
    Kind.PATH_UMOUNT_EXIT: "shutdown",
    Kind.EXIT: "shutdown",
    Kind.CLEANUP: "shutdown",
    Kind.CLEANUP_EXIT: "shutdown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """An operation that has not ended; times are CLOCK_MONOTONIC, ns.

    Attributes
    ----------
    kind : int
        Its last event, one of `Kind`; ``since_ns`` is the time of that.
    on_stack : OnStack
        What was on its stack when it went off CPU, if ``kind`` is OFF_CPU.
    mount : int or None
        The address of the struct mount; None where it is not known.
    flags : int
        Of umount(2); 0 for any other operation.
    by_function : bool
        Whether the functions of all phases are probed.
    waits : bool
        The task is in another operation as well, and this one waits for that.
    """

    tid: int
    pid: int
    begun_ns: int
    since_ns: int
    kind: int
    on_stack: OnStack
    mount: int | None
    flags: int
    by_function: bool
    waits: bool = False

    @property
    def phase(self) -> str:
        """Where it is: lookup, lock, tree, rcu, put, shutdown or other."""
        if self.kind == Kind.OFF_CPU:
            return _asleep(self.on_stack)
        if self.kind == Kind.ENTER and not self.by_function:
            return "other"  # what comes next has no probe
        return _BY_KIND.get(Kind(self.kind), "other") if self.kind in set(Kind) else "other"


def _asleep(on_stack: OnStack) -> str:
    """Return the phase by the functions on a stack; the rules of `correlate.waits`."""
    rcu = OnStack.RCU | OnStack.RCU_NORMAL
    if on_stack & OnStack.UNLOCK:
        return "rcu" if on_stack & rcu else "other"
    for bit, phase in (
        (OnStack.TASK_WORK, "shutdown"),
        (OnStack.LOCK_TAKER, "lock"),
        (OnStack.LOOKUP, "lookup"),
    ):
        if on_stack & bit:
            return phase
    return "other"
