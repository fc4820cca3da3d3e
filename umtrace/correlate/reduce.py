"""Reduces every segment of a batch to one operation, without what was carried."""

from __future__ import annotations

import numpy as np

from umtrace.correlate.cut import I8, Cut, Some, any_of, task_of, times_of
from umtrace.correlate.fields import ENDED, REDUCED, WAIT_NS, WAITS, Column, FieldName
from umtrace.correlate.table import Ops
from umtrace.correlate.waits import Wait, classify
from umtrace.model.events import IS_TARGET, OPENERS, WAITS_SHIFT, Exit, GracePeriod, Kind

_HOW = np.uint64(0xFF)  # of ``a`` of RETURNED; until 0.1.1 the other bits were Unseen
_UNKNOWN = np.uint64(0xFFFFFFFFFFFFFFFF)

#: by field, the values of RCU_EXIT; a task that slept in an unknown one counts as in its own
_GRACE_PERIODS: dict[FieldName, tuple[GracePeriod, ...]] = {
    "own_gp": (GracePeriod.OWN, GracePeriod.SLEPT),
    "joined_gp": (GracePeriod.JOINED,),
    "normal_gp": (GracePeriod.NORMAL,),
}
_OPENING: dict[FieldName, str] = {"opener": "kind", "flags": "ret", "cgroup": "a", "mntns": "b"}


def reduced(cut: Cut) -> Ops:
    """Return the operations of a batch, in the order of their numbers."""
    ops = Ops(cut.size)
    _add_beginning(ops, cut.at(cut.first))
    _add_end(ops, cut)
    _add_exit(ops, cut.of(Kind.EXIT))
    _add_unseen(ops, cut)
    _add_off_cpu(ops, cut)
    _add_numbers(ops, cut)
    if (cut.kind >= Kind.TEARDOWN).any():
        _add_identity(ops, cut.of(Kind.MOUNT))
        _add_functions(ops, cut)
        _add_counts(ops, cut)
        _add_grace_periods(ops, cut)
        _add_ended(ops, cut.of(Kind.ENDED))
        _add_locker(ops, cut.of(Kind.LOCKED))
        _add_spread(ops, cut.of(Kind.SPREAD_OVER))
    return ops


def _add_beginning(ops: Ops, head: Some) -> None:
    kind = head["kind"]
    ops["tid"], ops["tgid"] = head["tid"], head["tgid"]
    ops["task"] = task_of(head["tid"], head["cpu"])
    ops["t_first"], ops["comm"] = head.times, head["comm"]
    opened = any_of(kind, OPENERS)
    for name, source in _OPENING.items():
        ops[name] = head[source] if opened.all() else np.where(opened, head[source], 0)


def _add_end(ops: Ops, cut: Cut) -> None:
    """Add the end of each; ``done_at`` is valid only where an operation is complete."""
    at = np.flatnonzero(cut.ended)
    tail = cut.at(cut.last[at])
    ops.put("t_end", at, tail.times)
    kind = tail["kind"]
    ops.put("end", at, np.where(kind == Kind.ENDED, Kind.RETURNED, kind))
    ops.put("end_a", at, tail["a"] & _HOW)
    ops["done_at"] = cut.done_at
    superseded = ~cut.ended[: cut.n_complete]
    if superseded.any():
        ops.put("superseded", slice(cut.n_complete), superseded)


def _add_exit(ops: Ops, exits: Some) -> None:
    a = exits["a"]
    ops.put("t_exit", exits.op, exits.times)
    ops.put("ret", exits.op, exits["ret"])
    ops.put("alone", exits.op, a == Exit.ALONE)
    ops.put("from_path", exits.op, a == Exit.FROM_PATH)


def _add_unseen(ops: Ops, cut: Cut) -> None:
    for some in (cut.of(Kind.UNSEEN), cut.of(Kind.RETURNED), cut.of(Kind.ENDED)):
        bits = some["a"] & ~_HOW
        if bits.any():
            found = np.zeros(len(ops), np.uint64)
            np.bitwise_or.at(found, some.op, bits)
            ops["unseen"] = found | ops["unseen"]


def _add_off_cpu(ops: Ops, cut: Cut) -> None:
    """Add the times off CPU: from each OFF_CPU to the ON_CPU that follows it, if there is one."""
    at = np.flatnonzero(cut.kind == Kind.OFF_CPU)
    off = cut.at(at)
    waits = classify(off["a"], off["b"] != 0)
    then = cut.at(np.minimum(at + 1, len(cut.kind) - 1))
    same = (then.op == off.op) & (then.position != off.position)
    paired = same & (then["kind"] == Kind.ON_CPU)
    ns = then.times - off.times
    for wait in Wait:
        here = waits == wait
        if here.any():
            ops[WAITS[wait]] = np.bincount(off.op[here], minlength=len(ops))
            slept = here & paired
            ops[ENDED[wait]] = np.bincount(off.op[slept], minlength=len(ops))
            ops[WAIT_NS[wait]] = _summed(off.op[slept], ns[slept], len(ops))
    # An OFF_CPU at the end of its segment waits for an ON_CPU in a later batch.
    dangling = off.which(~same)
    ops.put("off_ts", dangling.op, dangling.times)
    ops.put("off_wait", dangling.op, waits[~same])


def _add_numbers(ops: Ops, cut: Cut) -> None:
    """Add the range of sequence numbers; they wrap as in C."""
    seq = cut.events["seq"][cut.order]
    start = seq[cut.first]
    relative = (seq - start[cut.op]).view(np.int32)
    ops["seq_first"] = start
    ops.put("seq_min", cut.number, np.minimum.reduceat(relative, cut.starts))
    ops.put("seq_max", cut.number, np.maximum.reduceat(relative, cut.starts))
    ops["n_events"] = cut.last - cut.first + 1


def _add_identity(ops: Ops, mounts: Some) -> None:
    first = mounts.backwards()  # so that the first one stays
    ops.put("mnt", first.op, first["mnt"])
    ops.put("t_mount", first.op, first.times)
    ops.put("mount_id", first.op, first["a"])
    ops.put("dev", first.op, first["b"])
    ops.put("fstype", first.op, first["comm"])
    ops.put("mount_flags", first.op, first["ret"].view(np.uint32))


def _add_functions(ops: Ops, cut: Cut) -> None:
    for name, reduced in REDUCED.items():
        found = cut.of(*reduced.kinds)
        if reduced.how == "number":
            ops[name] = np.bincount(found.op, minlength=len(ops))
            continue
        if reduced.how == "first":
            found = found.backwards()  # so that the first one stays
        ops.put(name, found.op, found.times)


def _add_counts(ops: Ops, cut: Cut) -> None:
    unlocks = cut.of(Kind.UNLOCK)
    counts = unlocks["a"]
    known = counts != _UNKNOWN
    ops["n_mounts"] = _summed(unlocks.op[known], counts[known].view(np.int64), len(ops))
    ops.put("mounts_unknown", unlocks.op[~known], 1)
    spaces = unlocks["b"].astype(np.int64) - 1
    ops["spaces"] = _summed(unlocks.op, np.maximum(spaces, 0), len(ops))
    ops.put("spaces_unknown", unlocks.op[spaces < 0], 1)
    ops["n_spread"] = np.bincount(unlocks.op[spaces > 0], minlength=len(ops))
    held = unlocks["ret"].astype(np.int64) - 1  # 0 and below: unknown, see NotHeld
    counted = held >= 0
    ops["held"] = _summed(unlocks.op[counted], held[counted], len(ops))
    ops.put("held_unknown", unlocks.op[~counted], 1)
    checked = cut.of(Kind.CHECKED)
    count = checked["a"]
    ops.put("refcount", checked.op, np.where(count == _UNKNOWN, 0, count + np.uint64(1)))
    cleanups = cut.of(Kind.CLEANUP)
    ops.put("own_put", cleanups.op[(cleanups["ret"] & IS_TARGET) != 0], 1)


def _add_grace_periods(ops: Ops, cut: Cut) -> None:
    began, done = cut.of(Kind.RCU), cut.of(Kind.RCU_EXIT)
    ops["rcu_balance_ns"] = _summed(done.op, done.times, len(ops)) - _summed(
        began.op, began.times, len(ops)
    )
    numbered = done.which(done["a"] != 0)
    ops.put("gp", numbered.op, numbered["a"].view(np.int64))
    kinds = done["ret"]
    for name, values in _GRACE_PERIODS.items():
        ops.put(name, done.op[any_of(kinds, values)], 1)


def _add_ended(ops: Ops, ended: Some) -> None:
    """Add what the programs of --probes light send at once of an umount(2) that succeeded."""
    if not len(ended):
        return
    words = np.ascontiguousarray(ended["comm"]).view(np.uint64).reshape(-1, 2)
    more, mounts = ended["b"], ended["ret"]
    ops.put("ended_at_once", ended.op, 1)
    ops.put("t_exit", ended.op, times_of(words[:, 0]))
    ops.put("rcu_balance_ns", ended.op, words[:, 1].view(np.int64))
    waits = more >> np.uint32(WAITS_SHIFT)
    ops.put("n_rcu", ended.op, waits)
    ops.put("n_rcu_exit", ended.op, waits)
    normal = (more & np.uint32((1 << WAITS_SHIFT) - 1)) == GracePeriod.NORMAL
    ops.put("normal_gp", ended.op[normal], 1)
    ops.put("n_mounts", ended.op, np.maximum(mounts, 0))
    ops.put("mounts_unknown", ended.op[mounts < 0], 1)


def _add_locker(ops: Ops, locked: Some) -> None:
    first = locked.backwards()  # so that the first one stays
    ops.put("locker", first.op, first["b"])
    ops.put("locker_comm", first.op, first["comm"])
    ops.put("locker_does", first.op, first["ret"])
    since = first["a"].view(np.int64)
    held = np.maximum(first.times - since, 0) + 1
    ops.put("locker_held", first.op, np.where(since != 0, held, 0))


def _add_spread(ops: Ops, spread: Some) -> None:
    first = spread.backwards()  # so that the first one stays
    ops.put("largest", first.op, first["a"])
    ops.put("larger", first.op, first["comm"])


def _summed(op: I8, values: I8, size: int) -> Column:
    """Return the sums of values by operation."""
    total = np.zeros(size, np.int64)
    np.add.at(total, op, values)
    return total
