"""Completed operations to Umount rows (Arrow), column by column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.correlate.waits import Wait
from umtrace.records.arrow import Bools, choice, fixed, text
from umtrace.records.events import Array, Kind
from umtrace.records.umounts import SCHEMA

MNT_DETACH = 2
_RCU = [Wait.RCU_EXPEDITED, Wait.RCU_NORMAL, Wait.RCU_PIGGYBACK]

Columns = dict[str, Any]


def build_rows(
    ops: Array,
    *,
    first_id: int,
    clock_offset_ns: int,
    tier: str,
    paths: list[str | None],
    container_of: Callable[[int], str | None],
    why_open: str = "running",
) -> pa.RecordBatch:
    """Return one row per completed operation, in their order.

    Parameters
    ----------
    ops : ndarray of OP_DTYPE, shape (n,)
    first_id : int
        ``id`` of the first row.
    clock_offset_ns : int
        Added to event times to give wall clock time.
    paths : list of str or None, length n
    container_of : callable
        From cgroup id to container id; called once per distinct id.
    why_open : str
        ``incomplete_why`` of the operations that have not ended.
    """
    n = len(ops)
    why = _incomplete_why(ops, why_open)
    complete = why < 0
    columns: Columns = {
        "id": fixed(np.arange(first_id, first_id + n), pa.int64()),
        "tier": choice(np.zeros(n, np.int32), [tier]),
        "complete": fixed(complete, pa.bool_()),
        "incomplete_why": choice(why, _reasons(why_open)),
        "path": text(paths),
    }
    columns |= _identity(ops, clock_offset_ns, container_of)
    columns |= _outcome(ops, complete)
    columns |= _times(ops, complete)
    arrays = [columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _reasons(why_open: str) -> tuple[str, ...]:
    return ("lost-events", "no-enter", "died", why_open)


def _incomplete_why(ops: Array, why_open: str) -> npt.NDArray[np.int32]:
    """Return an index of ``_reasons`` for each operation, the last that applies; -1 if complete."""
    applies = {
        "lost-events": ops["superseded"] | ops["gap"] | (ops["waits"][:, Wait.UNKNOWN] > 0),
        "no-enter": ops["opener"] == 0,
        "died": (ops["end"] == Kind.DEAD) & (ops["opener"] == Kind.ENTER),
        why_open: (ops["end"] == 0) & ~ops["superseded"],
    }
    why = np.full(len(ops), -1, np.int32)
    for index, reason in enumerate(_reasons(why_open)):
        why[applies[reason]] = index
    return why


def _identity(ops: Array, offset_ns: int, container_of: Callable[[int], str | None]) -> Columns:
    unopened = ops["opener"] == 0
    start = ops["t_first"].astype(np.int64) + offset_ns
    cgroups, cgroup = np.unique(ops["cgroup"], return_inverse=True)
    comms, comm = np.unique(ops["comm"], return_inverse=True)
    ns_exit = ops["opener"] == Kind.NS_EXIT
    return {
        "t_start": fixed(start, pa.timestamp("ns", tz="UTC"), unopened),
        "pid": fixed(ops["tgid"], pa.int32()),
        "tid": fixed(ops["tid"], pa.int32()),
        "comm": choice(comm, [c.decode("utf-8", "backslashreplace") or None for c in comms]),
        "cgroup_id": fixed(ops["cgroup"], pa.uint64(), ops["cgroup"] == 0),
        "container": choice(cgroup, [container_of(int(i)) if i else None for i in cgroups]),
        "mntns": fixed(ops["mntns"], pa.uint32(), ops["mntns"] == 0),
        "origin": choice(np.where(unopened, -1, ns_exit), ["umount", "ns-exit"]),
        "n_mounts": fixed(ops["flags"], pa.int32(), ~ns_exit | (ops["flags"] < 0)),
    }


def _outcome(ops: Array, complete: Bools) -> Columns:
    umount = ops["opener"] == Kind.ENTER
    lazy = (ops["flags"] & MNT_DETACH) != 0
    known = complete | (ops["alone"] & ~ops["gap"])
    errno = np.where(ops["t_exit"] > 0, -ops["ret"], 0)
    waits = ops["waits"]
    rcu_kinds = {
        "normal": waits[:, Wait.RCU_NORMAL] > 0,
        "expedited": waits[:, Wait.RCU_EXPEDITED] > 0,
        "piggybacked": waits[:, Wait.RCU_PIGGYBACK] > 0,
        "none": ops["ret"] < 0,
    }
    rcu_kind = np.select(list(rcu_kinds.values()), list(range(len(rcu_kinds))), -1)
    self_put = complete & umount & (waits[:, Wait.SHUTDOWN] > 0)
    return {
        "mode": choice(np.where(umount, lazy, -1), ["sync", "lazy"]),
        "flags": fixed(ops["flags"], pa.int32(), ~umount),
        "errno": fixed(errno, pa.int32(), ~known),
        "rcu_kind": choice(np.where(complete, rcu_kind, -1), list(rcu_kinds)),
        "final_put": choice(np.where(self_put, 0, -1), ["self"]),
    }


def _times(ops: Array, complete: Bools) -> Columns:
    umount = ops["opener"] == Kind.ENTER
    begin = ops["t_first"].astype(np.int64)
    latency = ops["t_end"].astype(np.int64) - begin
    syscall = ops["t_exit"].astype(np.int64) - begin
    phases = {
        "lookup_ns": _waited(ops, [Wait.LOOKUP]),
        "lock_ns": _waited(ops, [Wait.NAMESPACE_LOCK]),
        "rcu_ns": _waited(ops, _RCU),
        "shutdown_ns": (latency - syscall, umount & (ops["ret"] >= 0)),
    }
    known = sum(np.where(seen, ns, 0) for ns, seen in phases.values())
    bound = np.select([~complete, ~umount, ops["end"] == Kind.EXIT], [-1, 2, 0], 1)
    columns = {
        name: fixed(ns, pa.int64(), ~(seen & complete)) for name, (ns, seen) in phases.items()
    }
    return columns | {
        "latency_ns": fixed(latency, pa.int64(), ~complete),
        "latency_bound": choice(bound, ["exact", "upper", "approx"]),
        "syscall_ns": fixed(syscall, pa.int64(), ~(complete & umount)),
        "other_ns": fixed(latency - known, pa.int64(), ~complete),
    }


def _waited(ops: Array, waits: list[Wait]) -> tuple[npt.NDArray[np.int64], Bools]:
    """Time off CPU in these waits, and whether the task was seen there at all."""
    return ops["wait_ns"][:, waits].sum(axis=1), ops["waits"][:, waits].sum(axis=1) > 0
