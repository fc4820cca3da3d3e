"""The time of each phase of an operation, from stacks alone or from function probes.

Each phase is a pair of arrays: its ns, and where they are known. A phase that certainly took no
time is 0; one that the tier cannot see is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from umtrace.correlate.fields import ENDED, WAIT_NS, WAITS, FieldName
from umtrace.correlate.table import Ops
from umtrace.correlate.waits import Wait
from umtrace.model.arrow import Bools
from umtrace.model.events import Kind, Returned, Unseen

_RCU = [Wait.RCU_EXPEDITED, Wait.RCU_NORMAL, Wait.RCU_PIGGYBACK, Wait.RCU_QUEUE]
_I8 = npt.NDArray[np.int64]
Known = tuple[_I8, Bools]

MNT_DETACH, EBUSY = 2, 16

#: fields with the entries and the returns of each function
_PAIRS: tuple[tuple[FieldName, FieldName], ...] = (
    ("n_unlock", "n_unlock_exit"),
    ("n_rcu", "n_rcu_exit"),
    ("n_check", "n_checked"),
    ("n_cleanup", "n_cleanup_exit"),
)

#: values of ``Timing.bound``
BOUNDS = ("exact", "upper", "approx")


@dataclass(frozen=True, slots=True)
class Timing:
    """Latency, syscall time and phases of n operations; ``bound`` indexes BOUNDS.

    Where they are not ``sound``, an end was not seen, or the times contradict each other: a phase
    is negative, or longer than the latency.
    """

    latency: _I8
    bound: _I8
    syscall: _I8
    phases: dict[str, Known]
    sound: Bools

    @property
    def other(self) -> _I8:
        """The rest of the latency, without all phases."""
        return self.latency - sum(np.where(seen, ns, 0) for ns, seen in self.phases.values())


def timing(ops: Ops) -> Timing:
    """Return the times of operations, complete or not."""
    begin = ops["t_first"]
    by_function = has_functions(ops)
    end = np.where(by_function, _function_end(ops), ops["t_end"])
    umount = ops["opener"] == Kind.ENTER
    bound = np.select(
        [
            (ops["opener"] == Kind.NS_EXIT) | ops["from_path"] | _open_ended(ops) | no_result(ops),
            (by_function & ~unseen(ops, Unseen.CLEANUP)) | (ops["end"] == Kind.EXIT),
            umount | unseen(ops, Unseen.PUTS),
        ],
        [2, 0, 1],
        2,
    )
    latency, syscall = end - begin, ops["t_exit"] - begin
    phases = _phases(ops, by_function)
    sound = _end_seen(ops, by_function) & _adds_up(latency, phases)
    sound &= ~umount | ((syscall >= 0) & (syscall <= latency))
    return Timing(latency=latency, bound=bound, syscall=syscall, phases=phases, sound=sound)


def _end_seen(ops: Ops, by_function: Bools) -> Bools:
    """Return where the end of the latency was seen."""
    unlocked = ops["t_unlock_exit"] > 0
    by_stacks = ~by_function & (ops["t_end"] > 0)
    seen: Bools = np.where(ops["opener"] == Kind.ENTER, ops["t_exit"] > 0, unlocked | by_stacks)
    return seen


def _adds_up(latency: _I8, phases: dict[str, Known]) -> Bools:
    """Return where no phase is negative, and their sum fits; the sum may exceed 63 bits."""
    left, fits = latency.copy(), latency >= 0
    for ns, seen in phases.values():
        fits &= ~seen | ((ns >= 0) & (ns <= left))
        left -= np.where(seen & fits, ns, 0)
    return fits


def _phases(ops: Ops, by_function: Bools) -> dict[str, Known]:
    if not by_function.any():  # nearly always all have the same tier
        return _from_stacks(ops)
    functions = _from_functions(ops)
    if by_function.all():
        return functions
    stacks = _from_stacks(ops)
    return {name: _either(by_function, functions[name], stacks[name]) for name in functions}


def has_functions(ops: Ops) -> Bools:
    """Return where the function probes saw the operation."""
    seen: Bools = (ops["t_path"] > 0) | (ops["opener"] == Kind.TEARDOWN) | (ops["t_unlock"] > 0)
    return seen | ops["ended_at_once"]


def unseen(ops: Ops, what: Unseen) -> Bools:
    """Return where the source does not see any of ``what``."""
    hidden: Bools = (ops["unseen"] & np.uint32(what)) != 0
    return hidden


def no_result(ops: Ops) -> Bools:
    """Return where neither the result of the call nor the exact time of its return was seen."""
    return unseen(ops, Unseen.RESULT)


def _open_ended(ops: Ops) -> Bools:
    """Return where neither the shutdown nor anything after it was seen."""
    open_ended: Bools = _cleanup_hidden(ops) & (ops["end_a"] == Returned.UNKNOWN)
    return open_ended


def _cleanup_hidden(ops: Ops) -> Bools:
    """Return where the first thing after the call has to be used as the end of the shutdown."""
    hidden: Bools = unseen(ops, Unseen.CLEANUP) & (ops["end"] == Kind.RETURNED)
    return hidden


def _outlasts(ops: Ops) -> Bools:
    """Return where an operation nested in this one was over before the task was back."""
    last: Bools = (ops["end"] == Kind.RETURNED) & (ops["end_a"] == Returned.OUTER)
    return last


def _first_hidden(ops: Ops) -> Bools:
    """Return where the first function under the lock was not traced.

    That is umount_tree() in a lazy umount, and the busy check in any other.
    """
    no_flags = unseen(ops, Unseen.FLAGS)
    lazy = (ops["flags"] & MNT_DETACH) != 0
    no_check = unseen(ops, Unseen.CHECK) & (no_flags | ~lazy)
    no_tree = unseen(ops, Unseen.TREE) & (no_flags | lazy)
    hidden: Bools = (ops["opener"] == Kind.ENTER) & (no_check | no_tree)
    return hidden


def _function_end(ops: Ops) -> _I8:
    """Return the end of the deferred work, or of the call itself if there was none."""
    call = np.where(ops["t_exit"] > 0, ops["t_exit"], ops["t_unlock_exit"])
    end = np.maximum(call, ops["t_cleanup_exit"])
    # In a trace without cleanup_mnt, the next system call is an upper bound, as with stacks.
    return np.where(_cleanup_hidden(ops) | _outlasts(ops), ops["t_end"], end)


def _from_stacks(ops: Ops) -> dict[str, Known]:
    nothing = np.zeros(len(ops), np.int64), np.zeros(len(ops), np.bool_)
    succeeded = (ops["opener"] == Kind.ENTER) & (ops["ret"] >= 0)
    return {
        "lookup_ns": _waited(ops, [Wait.LOOKUP]),
        "lock_ns": _waited(ops, [Wait.NAMESPACE_LOCK]),
        "tree_ns": nothing,
        "rcu_ns": _waited(ops, _RCU),
        "put_ns": nothing,
        "shutdown_ns": (ops["t_end"] - ops["t_exit"], succeeded & ~_open_ended(ops)),
    }


def _from_functions(ops: Ops) -> dict[str, Known]:
    umount = ops["t_path"] > 0
    waited = ops["n_rcu_exit"] > 0
    called = np.where(umount, ops["t_path_exit"], ops["t_unlock_exit"])
    at_once = ops["ended_at_once"]
    called = np.where(at_once, ops["t_exit"], called)
    began = np.where(ops["opener"] == Kind.ENTER, ops["t_locked"], ops["t_first"])
    cleaned = ops["n_cleanup_exit"] > 0
    unlock_hidden = at_once & ops["mounts_unknown"] & ~waited
    rcu_seen = ~unseen(ops, Unseen.RCU) & ~unlock_hidden
    # What follows the call is measured from the return of path_umount(), which is its own.
    call_seen = umount | at_once | (ops["opener"] != Kind.ENTER)
    put_seen = call_seen & ~at_once
    hidden, first_seen = _cleanup_hidden(ops), ~_first_hidden(ops)
    until_the_end = hidden | _outlasts(ops)
    ended = np.where(until_the_end, ops["t_end"], ops["t_cleanup_exit"])
    cleaned |= until_the_end
    shut_seen = call_seen & ~_open_ended(ops) & (hidden | ~unseen(ops, Unseen.CLEANUP))
    slept = _waited(ops, [Wait.NAMESPACE_LOCK])
    # If nothing was checked and nothing taken down, the unlock is the first event under the lock.
    first = np.where(ops["t_locked"] > 0, ops["t_locked"], ops["t_unlock"])
    locked = umount & (first > 0) & first_seen
    return {
        "lookup_ns": (ops["t_path"] - ops["t_first"], umount & ~ops["from_path"]),
        "lock_ns": _either(locked, (first - ops["t_path"], locked), slept),
        "tree_ns": (ops["t_unlock"] - began, (ops["t_unlock"] > 0) & (began > 0) & first_seen),
        "rcu_ns": (ops["rcu_balance_ns"], rcu_seen),
        "put_ns": (np.where(waited, called - ops["t_rcu_exit"], 0), rcu_seen & put_seen),
        "shutdown_ns": (np.where(cleaned, ended - called, 0), shut_seen),
    }


def missed_hits(ops: Ops) -> Bools:
    """Return where a function probe must have had a hit that was not seen.

    The sequence has no gap then. The kernel skips a hit of a program that is preempted on the same
    CPU, and a return for which a kretprobe has no room.
    """
    missed: Bools = (ops["t_path"] > 0) != (ops["t_path_exit"] > 0)
    for entries, returns in _PAIRS:
        missed |= ops[entries] != ops[returns]
    missed &= ops["end"] != 0
    return missed


def missed_whole(ops: Ops, *, waits_always: bool = True) -> Bools:
    """Return where a function was not seen at all although another one implies it.

    It is valid only for a source that probes all of them; an imported trace may have a few.
    ``waits_always`` says that the kernel leaves no RCU wait out.
    """
    umount = (ops["opener"] == Kind.ENTER) & (ops["t_path"] > 0)
    unlocked, done = ops["n_unlock"] > 0, ops["ret"] >= 0
    checked = umount & ((ops["flags"] & MNT_DETACH) == 0) & (done | (ops["ret"] == -EBUSY))
    absent: Bools = (ops["opener"] == Kind.ENTER) & unlocked & ~umount
    absent |= (ops["t_locked"] > 0) & ~unlocked
    absent |= umount & done & unlocked & (ops["t_locked"] == 0)
    absent |= checked & unlocked & (ops["n_check"] == 0)
    # Every teardown has an RCU wait, except for lazy umounts on a kernel with a patch to defer it.
    # Where one leaves it out of others, too, a work item does the last put, or the plan says so.
    must = (ops["n_mounts"] > 0) & ~put_by_worker(ops) & waits_always
    absent |= (
        has_functions(ops) & (_waited(ops, _RCU)[1] | (checked & done & must)) & (ops["n_rcu"] == 0)
    )
    at_once = ops["ended_at_once"] & ((ops["flags"] & MNT_DETACH) == 0)
    absent |= at_once & must & (ops["n_rcu"] == 0)
    absent &= ops["end"] != 0
    return absent


def put_by_worker(ops: Ops) -> Bools:
    """Return where a kernel worker ran cleanup_mnt() for the mount of another task."""
    by = np.zeros(len(ops), np.bool_)
    put = ops["put_ts"] > 0
    by[put] = np.char.startswith(ops["put_comm"][put], b"kworker")
    return by


def _waited(ops: Ops, waits: list[Wait]) -> Known:
    """Return the time off CPU in these waits, and where it is known, since each wait has an end.

    Some switches are not traced: if the host hides a process from tracing, the switch from that
    process to the next task is not seen. A sum without that wait would be wrong, not unknown.
    """
    ns, seen = np.zeros(len(ops), np.int64), np.zeros(len(ops), np.bool_)
    torn = np.zeros(len(ops), np.bool_)
    for wait in waits:
        if WAITS[wait] in ops:
            ns += ops[WAIT_NS[wait]]
            seen |= ops[WAITS[wait]] > 0
            torn |= ops[WAITS[wait]] != ops[ENDED[wait]]
    return ns, seen & ~torn


def _either(first: Bools, a: Known, b: Known) -> Known:
    return np.where(first, a[0], b[0]), np.where(first, a[1], b[1])
