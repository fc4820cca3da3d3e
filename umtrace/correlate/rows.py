"""Makes Umount rows (Arrow) of completed operations, column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.correlate.fields import WAITS, FieldName
from umtrace.correlate.operations import lost_events
from umtrace.correlate.phases import (
    BOUNDS,
    MNT_DETACH,
    Timing,
    has_functions,
    missed_hits,
    missed_whole,
    no_result,
    put_by_worker,
    timing,
    unseen,
)
from umtrace.correlate.table import Ops
from umtrace.correlate.texts import Texts
from umtrace.correlate.waits import Wait
from umtrace.model.arrow import Bools, choice, distinct, fixed, text
from umtrace.model.devices import device_name
from umtrace.model.events import WALKERS_WATCHED, Kind, Origin, Unseen
from umtrace.model.kinds import ORIGINS
from umtrace.model.lockcalls import locker_does
from umtrace.model.tiers import tier_named
from umtrace.model.umounts import SCHEMA
from umtrace.owners.columns import owner_columns
from umtrace.owners.resolve import Owners

RCU_KINDS = ("normal", "expedited", "piggybacked", "none")

PUTTERS = ("self", "kworker", "other", "pending")

Columns = dict[str, Any]


def build_rows(
    ops: Ops,
    *,
    first_id: int,
    clock_offset_ns: int,
    tier: str,
    paths: Texts,
    sources: Texts,
    mountpoints: Texts,
    owners: Owners,
    preview: bool = False,
    why_open: str = "running",
    waits_always: bool = True,
) -> pa.RecordBatch:
    """Return one row per completed operation, in their order.

    Parameters
    ----------
    ops : Ops
        The n operations.
    first_id : int
        ``id`` of the first row.
    clock_offset_ns : int
        Added to event times to give wall clock time.
    paths, sources, mountpoints : Texts
        n each.
    owners, preview : Owners, bool
        Whose umounts they are, and whether the operations become rows later.
    why_open, waits_always : str, bool
        ``incomplete_why`` of those that have not ended; whether every teardown waits for RCU.
    """
    times = timing(ops)
    absent = _absent(ops, tier, waits_always=waits_always)
    why = _incomplete_why(ops, why_open, seen=times.sound & ~absent)
    complete = why < 0
    columns: Columns = {
        "id": fixed(np.arange(first_id, first_id + len(ops)), pa.int64()),
        "tier": choice(np.zeros(len(ops), np.int32), [tier]),
        "complete": fixed(complete, pa.bool_()),
        "incomplete_why": choice(why, _reasons(why_open)),
        "path": paths.to_arrow(),
        "mountpoint": mountpoints.to_arrow(),
    }
    columns |= _identity(ops, clock_offset_ns)
    columns |= _owned(ops, owners, columns, rows=not preview)
    columns |= _outcome(ops, complete)
    columns |= _mount(ops, sources)
    columns |= _times(times, ops, complete) | _locker(ops)
    columns |= _final_put(ops, complete, ops["t_first"] + times.latency)
    return pa.RecordBatch.from_arrays(_in_order(columns), schema=SCHEMA)


def _in_order(columns: Columns) -> list[pa.Array]:
    """Return the columns in the order of the schema; raise if one is missing, or not in it."""
    if extra := set(columns) - set(SCHEMA.names):
        raise ValueError(f"no column of an umount: {', '.join(extra)}")
    return [columns[name] for name in SCHEMA.names]


def _reasons(why_open: str) -> tuple[str, ...]:
    return ("lost-events", "no-enter", "died", why_open)


def _absent(ops: Ops, tier: str, *, waits_always: bool) -> Bools:
    if tier_named(tier).probes_every_function:
        return missed_whole(ops, waits_always=waits_always)
    return np.zeros(len(ops), np.bool_)


def _incomplete_why(ops: Ops, why_open: str, *, seen: Bools) -> npt.NDArray[np.int32]:
    """Return for each operation the last index of ``_reasons`` that applies; -1 if complete."""
    applies = {
        "lost-events": _lost(ops) | ~seen,
        "no-enter": ops["opener"] == 0,
        "died": (ops["end"] == Kind.DEAD) & (ops["opener"] == Kind.ENTER),
        why_open: (ops["end"] == 0) & ~ops["superseded"],
    }
    why = np.full(len(ops), -1, np.int32)
    for index, reason in enumerate(_reasons(why_open)):
        why[applies[reason]] = index
    return why


def _lost(ops: Ops) -> Bools:
    # A stack that was not stored hides a phase only in tiers that have nothing but stacks.
    hidden = (ops[WAITS[Wait.UNKNOWN]] > 0) & ~has_functions(ops)
    lost: Bools = ops["superseded"] | lost_events(ops) | hidden | missed_hits(ops)
    return lost


def _identity(ops: Ops, offset_ns: int) -> Columns:
    unopened = ops["opener"] == 0
    start = ops["t_first"] + offset_ns
    return {
        "t_start": fixed(start, pa.timestamp("ns", tz="UTC"), unopened),
        "pid": fixed(ops["tgid"], pa.int32(), ops["tgid"] == 0),
        "tid": fixed(ops["tid"], pa.int32()),
        "comm": _decoded(ops, "comm"),
        "cgroup_id": fixed(ops["cgroup"], pa.uint64(), ops["cgroup"] == 0),
        "mntns": fixed(ops["mntns"], pa.uint32(), ops["mntns"] == 0),
        "origin": choice(_origin(ops), ORIGINS),
    }


def _origin(ops: Ops) -> npt.NDArray[np.int64]:
    """Return an index of ORIGINS, -1 where the beginning was not seen."""
    opener = ops["opener"]
    return np.select(
        [(opener == 0) | unseen(ops, Unseen.CALLER), opener == Kind.ENTER, opener == Kind.NS_EXIT],
        [-1, Origin.UMOUNT, Origin.NS_EXIT],
        np.where((ops["flags"] > 0) & (ops["flags"] < len(ORIGINS)), ops["flags"], Origin.OTHER),
    )


def _owned(ops: Ops, owners: Owners, columns: Columns, *, rows: bool) -> Columns:
    return owner_columns(
        owners,
        cgroup=ops["cgroup"],
        mntns=ops["mntns"],
        pid=ops["tgid"],
        ends=ops["opener"] == Kind.NS_EXIT,
        mountpoint=columns["mountpoint"],
        path=columns["path"],
        rows=rows,
    )


def _outcome(ops: Ops, complete: Bools) -> Columns:
    umount = ops["opener"] == Kind.ENTER
    lazy = (ops["flags"] & MNT_DETACH) != 0
    flags_seen = umount & ~unseen(ops, Unseen.FLAGS)
    known = (complete | ops["alone"]) & ~no_result(ops)
    errno = np.where(ops["t_exit"] > 0, -ops["ret"], 0)
    return {
        "mode": choice(np.where(flags_seen, lazy, -1), ["sync", "lazy"]),
        "flags": fixed(ops["flags"], pa.int32(), ~flags_seen),
        "errno": fixed(errno, pa.int32(), ~known),
        "rcu_kind": choice(np.where(complete, _rcu_kind(ops), -1), RCU_KINDS),
        "gp_seq": fixed(ops["gp"], pa.int64(), ops["gp"] == 0),
        "refcount": fixed(ops["refcount"] - 1, pa.int32(), ops["refcount"] == 0),
    }


def _rcu_kind(ops: Ops) -> npt.NDArray[np.int64]:
    """Return an index of RCU_KINDS, from the functions of RCU, else from where the task slept.

    -1 where it did not sleep, or only behind other callers, so that the kind is unknown.
    """
    normal, expedited, piggybacked, none = range(len(RCU_KINDS))
    return np.select(
        [
            ops["normal_gp"] | (ops[WAITS[Wait.RCU_NORMAL]] > 0),
            ops["joined_gp"],
            ops["own_gp"] | (ops[WAITS[Wait.RCU_EXPEDITED]] > 0),
            ops[WAITS[Wait.RCU_PIGGYBACK]] > 0,
            (ops["n_rcu"] == 0) & ((ops["ret"] < 0) | _unlocked_unwaited(ops)),
        ],
        [normal, piggybacked, expedited, piggybacked, none],
        -1,
    )


def _unlocked_unwaited(ops: Ops) -> Bools:
    """Return where function probes saw the unlock whole, so that a wait in it would be known."""
    unlocked = (ops["n_unlock"] > 0) | (ops["ended_at_once"] & ~ops["mounts_unknown"])
    seen: Bools = has_functions(ops) & unlocked & ~unseen(ops, Unseen.RCU)
    return seen


def _final_put(ops: Ops, complete: Bools, ended: npt.NDArray[np.int64]) -> Columns:
    """Return who ran cleanup_mnt() for the mount, and how long after the end of the umount."""
    by_function = complete & (ops["mnt"] != 0) & ~unseen(ops, Unseen.PUTS)
    by_self = ops["own_put"] | (ops[WAITS[Wait.SHUTDOWN]] > 0)
    elsewhere = ops["put_ts"] > 0
    kworker = put_by_worker(ops)
    who = np.select(
        [complete & by_self, by_function & elsewhere & kworker, by_function & elsewhere],
        [0, 1, 2],
        np.where(by_function & (ops["ret"] >= 0), PUTTERS.index("pending"), -1),
    )
    put = (who >= 0) & (who != PUTTERS.index("pending"))
    tail = np.where(elsewhere, ops["put_ts"] - ended, 0)
    walked = by_function & ((ops["mount_flags"] & WALKERS_WATCHED) != 0)
    return {
        "final_put": choice(who, PUTTERS),
        "final_put_comm": _decoded(ops, "put_comm"),
        "tail_ns": fixed(np.maximum(tail, 0), pa.int64(), ~(by_function & put)),
        "n_legitimized": fixed(ops["n_legitimized"], pa.int32(), ~walked),
        "n_discounted": fixed(ops["n_discounted"], pa.int32(), ~walked),
    }


def _mount(ops: Ops, sources: Texts) -> Columns:
    unknown = ops["mnt"] == 0
    return {
        "fstype": _decoded(ops, "fstype"),
        "source": sources.to_arrow(),
        "dev": _dev(ops, unknown),
        "mount_id": fixed(ops["mount_id"], pa.uint64(), unknown),
        "n_mounts": _n_mounts(ops),
        "n_held": _n_held(ops),
        "n_mntns": fixed(ops["spaces"], pa.int32(), ~_spread_known(ops)),
        "mntns_top": _largest(ops),
    }


def _n_mounts(ops: Ops) -> pa.Array:
    counted = ((ops["n_unlock"] > 0) | ops["ended_at_once"]) & ~ops["mounts_unknown"]
    # Without function probes, the mounts of a namespace when its last task began to exit.
    of_namespace = (ops["opener"] == Kind.NS_EXIT) & (ops["flags"] >= 0)
    number = np.where(counted, ops["n_mounts"], ops["flags"])
    return fixed(number, pa.int32(), ~(counted | of_namespace))


def _spread_known(ops: Ops) -> Bools:
    # Of two parts that both have some, a namespace may be in each.
    known: Bools = (ops["n_unlock"] > 0) & ~ops["spaces_unknown"] & (ops["n_spread"] <= 1)
    return known


def _largest(ops: Ops) -> pa.Array:
    """Return the namespaces that most of the mounts were in: inum and number of each."""
    if "largest" not in ops:
        return pa.nulls(len(ops), pa.string())
    more = np.ascontiguousarray(ops["larger"]).view(np.uint64).reshape(-1, 2)
    words = np.column_stack((ops["largest"], more))
    words[~_spread_known(ops)] = 0
    return text([_pairs(row) for row in words.tolist()])


def _pairs(words: list[int]) -> str | None:
    return " ".join(f"{word & 0xFFFFFFFF}:{word >> 32}" for word in words if word) or None


def _n_held(ops: Ops) -> pa.Array:
    counted = (ops["n_unlock"] > 0) & ~ops["held_unknown"]
    # A mount that the kernel made for its own use is held by the task that made it.
    origin = _origin(ops)
    counted &= (origin >= 0) & (origin != Origin.OTHER) & (origin != Origin.MOUNT_INTERNAL)
    return fixed(ops["held"], pa.int32(), ~counted)


def _locker(ops: Ops) -> Columns:
    index, numbers = distinct(ops["locker_does"])
    return {
        "lock_holder_tid": fixed(ops["locker"], pa.int32(), ops["locker"] == 0),
        "lock_holder_comm": _decoded(ops, "locker_comm"),
        "lock_held_ns": fixed(ops["locker_held"] - 1, pa.int64(), ops["locker_held"] == 0),
        "lock_holder_op": choice(index, [locker_does(number) for number in numbers]),
    }


def _times(times: Timing, ops: Ops, complete: Bools) -> Columns:
    called = complete & (ops["opener"] == Kind.ENTER) & ~ops["from_path"] & ~no_result(ops)
    columns = {
        name: fixed(ns, pa.int64(), ~(seen & complete)) for name, (ns, seen) in times.phases.items()
    }
    return columns | {
        "latency_ns": fixed(times.latency, pa.int64(), ~complete),
        "latency_bound": choice(np.where(complete, times.bound, -1), BOUNDS),
        "syscall_ns": fixed(times.syscall, pa.int64(), ~called),
        "other_ns": fixed(times.other, pa.int64(), ~complete),
    }


def _dev(ops: Ops, unknown: Bools) -> pa.Array:
    if "dev" not in ops:
        return pa.nulls(len(ops), pa.string())
    index, devs = distinct(ops["dev"])
    return choice(np.where(unknown, -1, index), [*map(device_name, devs)])


def _decoded(ops: Ops, field: FieldName) -> pa.Array:
    """Return a string column of names from the kernel; an empty one is null."""
    if field not in ops:
        return pa.nulls(len(ops), pa.string())
    index, names = distinct(ops[field])
    return choice(index, [name.decode("utf-8", "backslashreplace") or None for name in names])
