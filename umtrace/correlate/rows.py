"""Completed operations to Umount rows (Arrow), column by column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.records.events import Array, Kind, Wait
from umtrace.records.umounts import SCHEMA

MNT_DETACH = 2
_RCU = [Wait.RCU_EXPEDITED, Wait.RCU_NORMAL, Wait.RCU_PIGGYBACK]
_Bool = npt.NDArray[np.bool_]

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
    complete = why == ""
    columns: Columns = {
        "id": pa.array(np.arange(first_id, first_id + n, dtype=np.int64)),
        "tier": pa.array([tier] * n),
        "complete": pa.array(complete),
        "incomplete_why": _text(why, complete),
        "path": pa.array(paths, pa.string()),
    }
    columns |= _identity(ops, clock_offset_ns, container_of)
    columns |= _outcome(ops, complete)
    columns |= _times(ops, complete)
    arrays = [
        columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _incomplete_why(ops: Array, why_open: str) -> npt.NDArray[np.str_]:
    """Return the reason of each operation, empty for a complete one; the last that applies."""
    why = np.full(len(ops), "", "U16")
    lost = ops["superseded"] | ops["gap"] | (ops["waits"][:, Wait.UNKNOWN] > 0)
    reasons: tuple[tuple[str, _Bool], ...] = (
        ("lost-events", lost),
        ("no-enter", ops["opener"] == 0),
        ("died", (ops["end"] == Kind.DEAD) & (ops["opener"] == Kind.ENTER)),
        (why_open, (ops["end"] == 0) & ~ops["superseded"]),
    )
    for reason, applies in reasons:
        why[applies] = reason
    return why


def _identity(ops: Array, offset_ns: int, container_of: Callable[[int], str | None]) -> Columns:
    opened = ops["opener"] != 0
    start = ops["t_first"].astype(np.int64) + offset_ns
    ids, where = np.unique(ops["cgroup"], return_inverse=True)
    names = np.array([container_of(int(i)) if i else None for i in ids], object)
    comms = np.char.decode(ops["comm"], "utf-8", "backslashreplace")
    ns_exit = ops["opener"] == Kind.NS_EXIT
    return {
        "t_start": pa.array(start, pa.timestamp("ns", tz="UTC"), mask=~opened),
        "pid": pa.array(ops["tgid"].astype(np.int32)),
        "tid": pa.array(ops["tid"].astype(np.int32)),
        "comm": _text(comms, comms == ""),
        "cgroup_id": pa.array(ops["cgroup"], mask=ops["cgroup"] == 0),
        "container": pa.array(names[where], pa.string()),
        "mntns": pa.array(ops["mntns"], mask=ops["mntns"] == 0),
        "origin": _text(np.where(ns_exit, "ns-exit", "umount"), ~opened),
        "n_mounts": pa.array(ops["flags"], mask=~ns_exit | (ops["flags"] < 0)),
    }


def _outcome(ops: Array, complete: _Bool) -> Columns:
    umount = ops["opener"] == Kind.ENTER
    lazy = (ops["flags"] & MNT_DETACH) != 0
    known = complete | (ops["alone"] & ~ops["gap"])
    errno = np.where(ops["t_exit"] > 0, -ops["ret"], 0).astype(np.int32)
    failed = complete & (ops["ret"] < 0)
    waits = ops["waits"]
    kind = np.select(
        [
            waits[:, Wait.RCU_NORMAL] > 0,
            waits[:, Wait.RCU_EXPEDITED] > 0,
            waits[:, Wait.RCU_PIGGYBACK] > 0,
            failed,
        ],
        ["normal", "expedited", "piggybacked", "none"],
        "",
    )
    self_put = complete & umount & (waits[:, Wait.SHUTDOWN] > 0)
    return {
        "mode": _text(np.where(lazy, "lazy", "sync"), ~umount),
        "flags": pa.array(ops["flags"], mask=~umount),
        "errno": pa.array(errno, mask=~known),
        "rcu_kind": _text(kind, (kind == "") | ~complete),
        "final_put": _text(np.full(len(ops), "self"), ~self_put),
    }


def _times(ops: Array, complete: _Bool) -> Columns:
    umount = ops["opener"] == Kind.ENTER
    begin = ops["t_first"].astype(np.int64)
    latency = ops["t_end"].astype(np.int64) - begin
    syscall = ops["t_exit"].astype(np.int64) - begin
    succeeded = complete & umount & (ops["ret"] >= 0)
    phases = {
        "lookup_ns": _waited(ops, [Wait.LOOKUP]),
        "lock_ns": _waited(ops, [Wait.NAMESPACE_LOCK]),
        "rcu_ns": _waited(ops, _RCU),
        "shutdown_ns": (latency - syscall, succeeded),
    }
    known = sum(np.where(seen, ns, 0) for ns, seen in phases.values())
    bound = np.select(
        [~umount, ops["end"] == Kind.EXIT, umount], ["approx", "exact", "upper"], "approx"
    )
    columns = {name: pa.array(ns, mask=~(seen & complete)) for name, (ns, seen) in phases.items()}
    return columns | {
        "latency_ns": pa.array(latency, mask=~complete),
        "latency_bound": _text(bound, ~complete),
        "syscall_ns": pa.array(syscall, mask=~(complete & umount)),
        "other_ns": pa.array(latency - known, mask=~complete),
    }


def _waited(ops: Array, waits: list[Wait]) -> tuple[npt.NDArray[np.int64], _Bool]:
    """Time off CPU in these waits, and whether the task was seen there at all."""
    return ops["wait_ns"][:, waits].sum(axis=1), ops["waits"][:, waits].sum(axis=1) > 0


def _text(values: npt.NDArray[np.str_], null: _Bool) -> Any:
    return pa.array(values.tolist(), pa.string(), mask=null)
