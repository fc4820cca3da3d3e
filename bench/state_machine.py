"""The plain way to correlate: one event after the other, a dictionary of tasks, rows as dicts.

What a tool in Python usually does. The benches measure the array code against it, and
the tests hold the two to the same rows: it is the oracle on random streams. It knows the events
of the tracepoint tier and the phases that the function probes mark by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from umtrace.records.events import EventBatch, Kind, OnStack

Row = dict[str, Any]
_SHUTDOWN, _LOOKUP, _LOCK = int(OnStack.TASK_WORK), int(OnStack.LOOKUP), int(OnStack.LOCK_TAKER)
_RCU = int(OnStack.RCU | OnStack.RCU_NORMAL)
_UNLOCK = int(OnStack.UNLOCK)


def rows(batches: Iterable[EventBatch], offset_ns: int = 0) -> Iterator[Row]:
    """Yield the rows of umounts whose events are all there, in order of completion."""
    tasks: dict[int, Row] = {}
    names: dict[tuple[int, int], bytes] = {}
    for batch in batches:
        for ts, tid, _kind, _part, length, _more, text in batch.names.tolist():
            names[tid, ts] = names.get((tid, ts), b"") + text[:length]
        for event in batch.events.tolist():
            row = _step(tasks, names, event, offset_ns)
            if row is not None:
                yield row


def _step(
    tasks: dict[int, Row], names: dict[tuple[int, int], bytes], event: tuple[Any, ...], offset: int
) -> Row | None:
    ts, mnt, tid, tgid, kind, _cpu, ret, a, b, _seq, comm = event
    if kind == Kind.ENTER:
        tasks[tid] = {
            "t_start": ts + offset, "pid": tgid, "tid": tid, "comm": comm.decode() or None,
            "cgroup_id": a or None, "mntns": b or None, "flags": ret, "begin": ts,
            "mode": "lazy" if ret & 2 else "sync", "errno": 0, "rcu_ns": None, "lock_ns": None,
            "lookup_ns": None, "path": names.pop((tid, ts), b"").decode() or None,
            "sum_rcu": 0, "functions": False, "put_ns": 0, "shutdown_ns": 0,
        }  # fmt: skip
        return None
    row = tasks.get(tid)
    if row is None:
        return None
    if kind == Kind.OFF_CPU:
        row["off"], row["stack"] = ts, a
        column = _column(a)
        if column and row[column] is None:
            row[column] = 0
    elif kind == Kind.ON_CPU and "off" in row:
        column = _column(row.pop("stack"))
        if column:
            row[column] += ts - row.pop("off")
        else:
            del row["off"]
    elif kind == Kind.EXIT:
        row["exit"], row["errno"] = ts, -ret
        row["syscall_ns"] = ts - row["begin"]
        if ret < 0:
            return _finished(tasks.pop(tid), ts)
    elif kind == Kind.RETURNED:
        return _finished(tasks.pop(tid), ts)
    elif kind > Kind.DEAD:
        _function_event(row, ts, mnt, kind, a)
    return None


def _column(stack: int) -> str:
    if stack & _UNLOCK:
        return "rcu_ns" if stack & _RCU else ""
    if stack & _SHUTDOWN:
        return ""
    if stack & _LOCK:
        return "lock_ns"
    return "lookup_ns" if stack & _LOOKUP else ""


def _function_event(row: Row, ts: int, mnt: int, kind: int, a: int) -> None:
    if kind == Kind.MOUNT:
        row["mount_id"] = a
        row["mnt"] = mnt
    elif kind == Kind.PATH_UMOUNT:
        row["functions"], row["path_at"] = True, ts
    elif kind in {Kind.CHECK, Kind.TREE}:
        row.setdefault("locked", ts)
    elif kind == Kind.CHECKED:
        row["refcount"] = a
    elif kind == Kind.UNLOCK:
        row["unlock"], row["n_mounts"] = ts, row.get("n_mounts", 0) + a
    elif kind == Kind.RCU:
        row["sum_rcu"] -= ts
    elif kind == Kind.RCU_EXIT:
        row["sum_rcu"] += ts
        row["rcu_exit"] = ts
    elif kind == Kind.PATH_UMOUNT_EXIT:
        row["called"] = ts
    elif kind == Kind.CLEANUP_EXIT:
        row["cleaned"] = ts


def _finished(row: Row, ts: int) -> Row:
    if row["functions"]:
        end = max(row["exit"], row.get("cleaned", 0))
        row["lookup_ns"] = row["path_at"] - row["begin"]
        row["lock_ns"] = row["locked"] - row["path_at"]
        row["tree_ns"] = row["unlock"] - row["locked"]
        row["rcu_ns"] = row["sum_rcu"]
        row["put_ns"] = row["called"] - row["rcu_exit"] if "rcu_exit" in row else 0
        row["shutdown_ns"] = row["cleaned"] - row["called"] if "cleaned" in row else 0
        row["latency_ns"] = end - row["begin"]
    else:
        row["latency_ns"] = ts - row["begin"]
        row["shutdown_ns"] = None if row["errno"] else ts - row["exit"]
        row["tree_ns"] = row["put_ns"] = None
    phases = ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "shutdown_ns")
    row["other_ns"] = row["latency_ns"] - sum(row[name] or 0 for name in phases)
    return row
