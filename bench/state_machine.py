"""The plain way to correlate: one event after the other, a dictionary of tasks, rows as dicts.

What a tool in Python usually does. The benches measure the array code against it, and the tests
hold the two to the same rows, every column of them, losses marked: it is the oracle on random
streams. It knows umount(2) in the tracepoint tier and in the function tiers, and leaves out
namespaces that exit, tasks that die, and puts by others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from umtrace.model.events import (
    NESTED,
    WALKERS_WATCHED,
    EventBatch,
    Kind,
    NameKind,
    OnStack,
    Returned,
)
from umtrace.model.lockcalls import locker_does

Row = dict[str, Any]
_SHUTDOWN, _LOOKUP, _LOCK = int(OnStack.TASK_WORK), int(OnStack.LOOKUP), int(OnStack.LOCK_TAKER)
_NORMAL = int(OnStack.RCU_NORMAL)
_RCU = int(OnStack.RCU) | _NORMAL
_UNLOCK = int(OnStack.UNLOCK)
_PHASES = ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "shutdown_ns")
_WORKING = ("begin", "seq", "ended", "sum_rcu", "functions", "off", "stack", "path_at", "exit",
            "locked", "unlock", "called", "cleaned", "rcu_exit", "slept", "normal", "shut", "mnt",
            "watched", "own", "entered", "returned", "returns", "called_back",
            "torn", "outer", "held", "unheld", "spread", "spaces", "unspread")  # fmt: skip


def rows(batches: Iterable[EventBatch], offset_ns: int = 0, tier: str = "test") -> Iterator[Row]:
    """Yield the rows of umounts that ended, in order of completion."""
    tasks: dict[int, Row] = {}
    names: dict[tuple[int, int, int], bytes] = {}
    number = 0
    for batch in batches:
        for ts, tid, kind, _part, length, _more, text in batch.names.tolist():
            names[tid, kind, ts] = names.get((tid, kind, ts), b"") + text[:length]
        for event in batch.events.tolist():
            row = _step(tasks, names, event, offset_ns)
            if row is not None:
                row["id"], row["tier"] = number, tier
                number += 1
                yield row


def as_path(text: bytes | None) -> bytes | None:
    """Return the path that a MOUNTPOINT text spells from its end; None where unknown."""
    if text is None or not (text == b"\0" or text.endswith(b"\0\0")):
        return None
    return b"/" + b"/".join(reversed(text[:-1].split(b"\0")[:-1]))


#: the streams have no facts
_UNOWNED: Row = dict.fromkeys(
    (
        *("actor_unit", "actor_container", "actor_runtime", "owner", "owner_kind", "owner_by"),
        *("owner_claimed", "container", "container_name", "pod", "pod_uid", "image", "unit"),
        *("runtime", "by_command"),
    )
)


def _text(names: dict[tuple[int, int, int], bytes], tid: int, kind: int, ts: int) -> str | None:
    return names.pop((tid, kind, ts), b"").decode("utf-8", "backslashreplace") or None


def _step(
    tasks: dict[int, Row],
    names: dict[tuple[int, int, int], bytes],
    event: tuple[Any, ...],
    offset: int,
) -> Row | None:
    ts, _mnt, tid, _tgid, kind, cpu, ret, a, _b, seq, _comm = event
    task = tid | (cpu & NESTED) << 32  # an operation inside another one is a task of its own
    if kind == Kind.ENTER:
        tasks[task] = _opened(names, event, offset)
        return None
    row = tasks.get(task)
    if row is None:
        return None
    row["seq"] += 1
    if row["seq"] & 0xFFFFFFFF != seq:
        row["complete"], row["incomplete_why"] = False, "lost-events"
    if kind == Kind.OFF_CPU:
        _off(row, ts, a)
    elif kind == Kind.ON_CPU and "off" in row:
        column = _column(row.pop("stack"))
        began = row.pop("off")
        if column:
            row[column] += ts - began
    elif kind == Kind.EXIT:
        _exit(row, ts, ret)
        if ret < 0:
            return _finished(tasks.pop(task), ts)
    elif kind == Kind.RETURNED:
        row["outer"] = a == Returned.OUTER
        return _finished(tasks.pop(task), ts)
    elif kind > Kind.DEAD:
        _function_event(row, names, event)
    return None


def _opened(names: dict[tuple[int, int, int], bytes], event: tuple[Any, ...], offset: int) -> Row:
    ts, _mnt, tid, tgid, _kind, _cpu, ret, a, b, seq, comm = event
    return {
        "t_start": ts + offset, "pid": tgid, "tid": tid, "comm": comm.decode() or None,
        "cgroup_id": a or None, "mntns": b or None, "flags": ret, **_UNOWNED,
        "origin": "umount", "mode": "lazy" if ret & 2 else "sync", "errno": 0,
        "path": _text(names, tid, NameKind.PATH, ts), "mountpoint": None, "source": None,
        "fstype": None, "dev": None, "mount_id": None, "n_mounts": None, "refcount": None,
        "n_held": None, "gp_seq": None, "n_mntns": None, "mntns_top": None, "lock_held_ns": None,
        "lock_holder_tid": None, "lock_holder_comm": None, "lock_holder_op": None,
        "rcu_ns": None, "lock_ns": None, "lookup_ns": None, "put_ns": 0, "shutdown_ns": 0,
        "rcu_kind": None, "final_put": None, "final_put_comm": None, "tail_ns": None,
        "n_legitimized": None, "n_discounted": None, "complete": True, "incomplete_why": None,
        "begin": ts, "seq": seq, "sum_rcu": 0, "functions": False,
    }  # fmt: skip


def _off(row: Row, ts: int, stack: int) -> None:
    _tear(row)
    row["off"], row["stack"] = ts, stack
    column = _column(stack)
    if column and row[column] is None:
        row[column] = 0
    if column == "rcu_ns":
        row["normal" if stack & _NORMAL else "slept"] = True
    elif stack & _SHUTDOWN and not stack & _UNLOCK:
        row["shut"] = True


def _exit(row: Row, ts: int, ret: int) -> None:
    _tear(row)
    row["exit"], row["errno"] = ts, -ret
    row["syscall_ns"] = ts - row["begin"]
    if ret < 0:  # nothing was unmounted: no shutdown is due
        row["ended"] = True


def _tear(row: Row) -> None:
    """Give up the wait that has no end: a sum without it would be wrong."""
    if row.pop("off", None) is not None:
        row["torn"] = {*row.get("torn", ()), _column(row.pop("stack"))}


def _column(stack: int) -> str:
    if stack & _UNLOCK:
        return "rcu_ns" if stack & _RCU else ""
    if stack & _SHUTDOWN:
        return ""
    if stack & _LOCK:
        return "lock_ns"
    return "lookup_ns" if stack & _LOOKUP else ""


def _function_event(
    row: Row, names: dict[tuple[int, int, int], bytes], event: tuple[Any, ...]
) -> None:
    ts, mnt, tid, _tgid, kind, _cpu, ret, a, b, _seq, comm = event
    if kind == Kind.MOUNT:
        row["mnt"], row["mount_id"], row["dev"] = mnt, a, f"{b >> 20}:{b & 0xFFFFF}"
        row["fstype"], row["watched"] = comm.decode() or None, ret & WALKERS_WATCHED
        row["source"] = _text(names, tid, NameKind.SOURCE, ts)
        place = as_path(names.pop((tid, NameKind.MOUNTPOINT, ts), None))
        row["mountpoint"] = place.decode("utf-8", "backslashreplace") if place else None
    elif kind == Kind.PATH_UMOUNT:
        row["functions"], row["path_at"] = True, ts
    elif kind in {Kind.CHECK, Kind.TREE}:
        row.setdefault("locked", ts)
    elif kind == Kind.CHECKED:
        row["refcount"] = a
    elif kind == Kind.UNLOCK:
        row["unlock"], row["n_mounts"] = ts, (row["n_mounts"] or 0) + a
        row["spread"] = row.get("spread", 0) + (b > 1)
        row["spaces"] = row.get("spaces", 0) + b - 1 if b and "unspread" not in row else None
        if not b:
            row["unspread"] = True
        row["n_mntns"] = row["spaces"] if row["spread"] < 2 else None
        row["held"] = row.get("held", 0) + ret - 1 if ret > 0 and "unheld" not in row else None
        if ret <= 0:
            row["unheld"] = True
        row["n_held"] = row["held"]
    elif kind == Kind.RCU:
        row["sum_rcu"] -= ts
    elif kind == Kind.RCU_EXIT:
        row["sum_rcu"] += ts
        row["rcu_exit"] = ts
        row["gp_seq"] = a - (a >> 63 << 64) or row["gp_seq"]
    elif kind == Kind.LOCKED:
        row["lock_holder_tid"], row["lock_holder_comm"] = b, comm.decode() or None
        row["lock_holder_op"] = locker_does(ret)
        row["lock_held_ns"] = ts - a if a else None
    elif kind == Kind.SPREAD_OVER:
        words = (a, *struct.unpack("=QQ", comm.ljust(16, b"\0")))
        row["mntns_top"] = " ".join(f"{w & 0xFFFFFFFF}:{w >> 32}" for w in words if w)
    elif kind == Kind.PATH_UMOUNT_EXIT:
        row["called"] = ts
    elif kind == Kind.CLEANUP:
        row["own"] = True
    elif kind in (Kind.CLEANUP_EXIT, Kind.CLEANUPS):
        row["cleaned"] = ts


def _finished(row: Row, ts: int) -> Row:
    row["rcu_kind"] = _rcu_kind(row)
    if "exit" not in row:
        row["complete"], row["incomplete_why"] = False, "lost-events"
        _forget_times(row)
    elif row["functions"]:
        if row.get("outer"):  # what was taken down inside it is its own shutdown as well
            row["cleaned"] = ts
        row["latency_bound"] = "exact"
        _from_functions(row)
    else:
        row["latency_bound"] = "exact" if "ended" in row else "upper"
        row["latency_ns"] = ts - row["begin"]
        row["shutdown_ns"] = None if row["errno"] else ts - row["exit"]
        row["tree_ns"] = row["put_ns"] = None
        row.update(dict.fromkeys(filter(None, row.get("torn", ()))))
        row["final_put"] = "self" if "shut" in row else None
    if "exit" in row:
        _account(row)
    for name in _WORKING:
        row.pop(name, None)
    return row


def _account(row: Row) -> None:
    """Add what no phase accounts for; a part that is negative or too long undoes all of them."""
    parts = [row[name] or 0 for name in _PHASES]
    row["other_ns"] = row["latency_ns"] - sum(parts)
    if min(*parts, row["other_ns"], row["syscall_ns"]) < 0 or row["syscall_ns"] > row["latency_ns"]:
        row["complete"], row["incomplete_why"] = False, "lost-events"
    if not row["complete"]:
        _forget_times(row)


def _rcu_kind(row: Row) -> str | None:
    if "normal" in row:
        return "normal"
    if "slept" in row or "rcu_exit" in row:
        return "expedited"
    return "none" if row["errno"] or (row["functions"] and "unlock" in row) else None


def _from_functions(row: Row) -> None:
    row["latency_ns"] = max(row["exit"], row.get("cleaned", 0)) - row["begin"]
    row["lookup_ns"] = row["path_at"] - row["begin"]
    row["lock_ns"] = row["locked"] - row["path_at"]
    row["tree_ns"] = row["unlock"] - row["locked"]
    row["rcu_ns"] = row["sum_rcu"]
    row["put_ns"] = row["called"] - row["rcu_exit"] if "rcu_exit" in row else 0
    row["shutdown_ns"] = row["cleaned"] - row["called"] if "cleaned" in row else 0
    if "own" in row or "shut" in row:
        row["final_put"], row["tail_ns"] = "self", 0
    if row.get("watched"):
        row["n_legitimized"] = row["n_discounted"] = 0


def _forget_times(row: Row) -> None:
    """A row that lost an event keeps its identity and loses its numbers."""
    for name in (*_PHASES, "latency_ns", "latency_bound", "syscall_ns", "other_ns", "errno",
                 "rcu_kind", "final_put", "tail_ns"):  # fmt: skip
        row[name] = None
