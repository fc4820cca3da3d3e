"""What an operation keeps of its events, and how two parts of one are joined.

Every field has one of three rules (first known, last known, sum), so that an operation
cut by a batch border comes out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from umtrace.correlate.waits import Wait, classify
from umtrace.records.events import IS_TARGET, Array, GracePeriod, Kind

N_WAITS = len(Wait)
OPENERS = (Kind.ENTER, Kind.NS_EXIT, Kind.TEARDOWN)

#: One operation, open or complete; 0 is "not seen" for times, kinds and addresses.
OP_DTYPE = np.dtype(
    [
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("opener", "<u2"),  # one of OPENERS, or 0: the beginning was not seen
        ("t_first", "<u8"),  # first event of any kind
        ("flags", "<i4"),  # ret of the opener
        ("cgroup", "<u8"),
        ("mntns", "<u4"),
        ("comm", "S16"),
        ("t_exit", "<u8"),
        ("ret", "<i4"),
        ("t_end", "<u8"),
        ("end", "<u2"),  # kind of the terminal event
        ("end_a", "<u8"),  # its word a
        ("alone", "?"),  # an EXIT whose beginning lies before the trace
        ("from_path", "?"),  # begins at path_umount: the system call's entry was not seen
        ("wait_ns", "<i8", (N_WAITS,)),
        ("waits", "<i4", (N_WAITS,)),
        ("seq_first", "<u4"),
        ("seq_min", "<i8"),  # relative to seq_first
        ("seq_max", "<i8"),
        ("off_ts", "<u8"),  # an OFF_CPU whose ON_CPU has not come yet
        ("off_wait", "<u8"),
        ("n_events", "<i8"),
        ("superseded", "?"),  # a new operation of the task began before this one ended
        ("done_at", "<i8"),  # position in the batch of the event that completed it
        # Function tiers.
        ("mnt", "<u8"),
        ("t_mount", "<u8"),
        ("mount_id", "<u8"),
        ("dev", "<u4"),
        ("fstype", "S16"),
        ("mount_flags", "<u4"),
        ("t_path", "<u8"),
        ("t_path_exit", "<u8"),
        ("t_locked", "<u8"),  # the first thing done under namespace_sem
        ("t_unlock", "<u8"),
        ("t_unlock_exit", "<u8"),
        ("n_unlock", "<i4", (2,)),  # entries, returns
        ("n_mounts", "<i8"),
        ("mounts_unknown", "?"),
        ("rcu_sum", "<i8", (2,)),  # sums of entry and return times: their difference is the wait
        ("n_rcu", "<i4", (2,)),
        ("t_rcu_exit", "<u8"),
        ("own_gp", "?"),  # its own expedited grace period
        ("joined_gp", "?"),  # somebody else's
        ("checks", "<i4", (2,)),
        ("busy", "?"),
        ("refcount", "<i8"),  # plus 1; 0 unknown
        ("n_cleanup", "<i4", (2,)),
        ("t_cleanup_exit", "<u8"),
        ("own_put", "?"),  # cleaned up the mount it unmounted itself
        # Filled by the tail keeper from the events of other tasks.
        ("put_ts", "<u8"),
        ("put_comm", "S16"),
        ("n_legitimized", "<i4"),
        ("n_discounted", "<i4"),
    ]
)

_ALONE, _FROM_PATH = 1, 2  # in EXIT

_FIRST = ("opener", "t_first", "flags", "cgroup", "mntns", "comm")
_FIRST_KNOWN = ("mnt", "t_mount", "mount_id", "dev", "fstype", "mount_flags", "t_path", "t_locked")
_LAST_KNOWN = ("t_path_exit", "t_unlock", "t_unlock_exit", "t_rcu_exit", "t_cleanup_exit")
_SUM = (
    "wait_ns",
    "waits",
    "n_events",
    "n_unlock",
    "n_mounts",
    "rcu_sum",
    "n_rcu",
    "checks",
)

_I8 = npt.NDArray[np.int64]


class Ordered:
    """Events in an order of their own, field by field: each is moved once, when it is needed."""

    def __init__(self, events: Array, order: _I8) -> None:
        self._events = events
        self._fields: dict[str, npt.NDArray[Any]] = {}
        self.order = order
        self.size = len(order)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._fields:
            self._fields[name] = self._events[name][self.order]
        return self._fields[name]

    def records(self, index: _I8) -> Array:
        """Return whole events."""
        return picked(self._events, self.order[index])


def add_function_events(ops: Array, events: Ordered, segment: _I8) -> None:
    """Add what the function probes saw to fresh operations, in place."""
    if not (events["kind"] >= Kind.TEARDOWN).any():
        return
    _add_identity(ops, events, segment)
    _first_time(ops, "t_path", events, segment, Kind.PATH_UMOUNT)
    _last_time(ops, "t_path_exit", events, segment, Kind.PATH_UMOUNT_EXIT)
    _first_time(ops, "t_locked", events, segment, Kind.CHECK, Kind.TREE)
    _last_time(ops, "t_unlock", events, segment, Kind.UNLOCK)
    _last_time(ops, "t_unlock_exit", events, segment, Kind.UNLOCK_EXIT)
    _last_time(ops, "t_rcu_exit", events, segment, Kind.RCU_EXIT)
    _last_time(ops, "t_cleanup_exit", events, segment, Kind.CLEANUP_EXIT)
    _count(ops, "n_unlock", events, segment, (Kind.UNLOCK, Kind.UNLOCK_EXIT))
    _count(ops, "n_rcu", events, segment, (Kind.RCU, Kind.RCU_EXIT))
    _count(ops, "checks", events, segment, (Kind.CHECK, Kind.CHECKED))
    _count(ops, "n_cleanup", events, segment, (Kind.CLEANUP, Kind.CLEANUP_EXIT))
    for side, kind in enumerate((Kind.RCU, Kind.RCU_EXIT)):
        at = np.flatnonzero(events["kind"] == kind)
        ops["rcu_sum"][:, side] = _summed(segment[at], events["ts_ns"][at], len(ops))
    _add_counts(ops, events, segment)


def _add_identity(ops: Array, events: Ordered, segment: _I8) -> None:
    at = np.flatnonzero(events["kind"] == Kind.MOUNT)[::-1]  # the first one stays
    where = segment[at]
    ops["mnt"][where], ops["t_mount"][where] = events["mnt"][at], events["ts_ns"][at]
    ops["mount_id"][where], ops["dev"][where] = events["a"][at], events["b"][at]
    ops["fstype"][where] = events["comm"][at]
    ops["mount_flags"][where] = events["ret"][at].view(np.uint32)


def _add_counts(ops: Array, events: Ordered, segment: _I8) -> None:
    unknown = np.uint64(0xFFFFFFFFFFFFFFFF)
    at = np.flatnonzero(events["kind"] == Kind.UNLOCK)
    known = events["a"][at] != unknown
    ops["n_mounts"] = _summed(segment[at[known]], events["a"][at[known]], len(ops))
    ops["mounts_unknown"][segment[at[~known]]] = True
    at = np.flatnonzero(events["kind"] == Kind.CHECKED)
    ops["busy"][segment[at]] = events["ret"][at] != 0
    count = events["a"][at]
    ops["refcount"][segment[at]] = np.where(count == unknown, 0, count + np.uint64(1))
    at = np.flatnonzero(events["kind"] == Kind.RCU_EXIT)
    ops["own_gp"][segment[at[events["ret"][at] == GracePeriod.OWN]]] = True
    ops["joined_gp"][segment[at[events["ret"][at] == GracePeriod.JOINED]]] = True
    at = np.flatnonzero(events["kind"] == Kind.CLEANUP)
    ops["own_put"][segment[at[(events["ret"][at] & IS_TARGET) != 0]]] = True


def _first_time(ops: Array, field: str, events: Ordered, segment: _I8, *kinds: Kind) -> None:
    at = np.flatnonzero(np.isin(events["kind"], kinds))[::-1]
    ops[field][segment[at]] = events["ts_ns"][at]


def _last_time(ops: Array, field: str, events: Ordered, segment: _I8, kind: Kind) -> None:
    at = np.flatnonzero(events["kind"] == kind)
    ops[field][segment[at]] = events["ts_ns"][at]


def _count(ops: Array, field: str, events: Ordered, segment: _I8, kinds: tuple[Kind, Kind]) -> None:
    for side, kind in enumerate(kinds):
        at = segment[events["kind"] == kind]
        ops[field][:, side] = np.bincount(at, minlength=len(ops))


def _summed(index: _I8, values: Array, size: int) -> _I8:
    """Return the sums of values by index; a plain array, where numpy's add.at is fast."""
    total = np.zeros(size, np.int64)
    np.add.at(total, index, values.astype(np.int64))
    return total


def add_exit(ops: Array, events: Ordered, segment: _I8) -> None:
    """Add the syscall's exit to fresh operations, in place."""
    exits = np.flatnonzero(events["kind"] == Kind.EXIT)
    ops["t_exit"][segment[exits]] = events["ts_ns"][exits]
    ops["ret"][segment[exits]] = events["ret"][exits]
    ops["alone"][segment[exits]] = events["a"][exits] == _ALONE
    ops["from_path"][segment[exits]] = events["a"][exits] == _FROM_PATH


def add_waits(ops: Array, events: Ordered, segment: _I8) -> None:
    """Add the times off CPU to fresh operations, in place."""
    kind, ts = events["kind"], events["ts_ns"].astype(np.int64)
    off = np.flatnonzero(kind == Kind.OFF_CPU)
    waits = classify(events["a"][off], events["b"][off] != 0)
    cells = len(ops) * N_WAITS
    flat = segment[off] * N_WAITS + waits
    ops["waits"] = np.bincount(flat, minlength=cells).reshape(-1, N_WAITS)
    follower = np.minimum(off + 1, events.size - 1)
    same = (segment[follower] == segment[off]) & (follower != off)
    paired = same & (kind[follower] == Kind.ON_CPU)
    begin = off[paired]
    slept = _summed(flat[paired], ts[begin + 1] - ts[begin], cells)
    ops["wait_ns"] = slept.reshape(-1, N_WAITS)
    # An OFF_CPU that ends its segment waits for an ON_CPU in a later batch.
    dangling = segment[off[~same]]
    ops["off_ts"][dangling] = events["ts_ns"][off[~same]]
    ops["off_wait"][dangling] = waits[~same]


def fold(ops: Array, index: _I8, old: Array, head: Array) -> None:
    """Add the earlier part ``old`` of the operations ``ops[index]``; ``head`` their next events."""
    new = ops[index]
    _join_numbers(new, old)
    for name in _FIRST:
        new[name] = old[name]
    for name in _FIRST_KNOWN:
        _prefer(new, name, old[name], new[name])
    for name in _LAST_KNOWN:
        _prefer(new, name, new[name], old[name])
    no_exit = new["t_exit"] == 0
    for name in ("t_exit", "ret", "alone", "from_path"):
        new[name] = np.where(no_exit, old[name], new[name])
    unchecked = new["checks"][:, 1] == 0
    for name in ("busy", "refcount"):
        new[name] = np.where(unchecked, old[name], new[name])
    for name in (*_SUM, "n_cleanup"):
        new[name] += old[name]
    for name in ("mounts_unknown", "own_put", "own_gp", "joined_gp"):
        new[name] |= old[name]
    resumed = np.flatnonzero((old["off_ts"] > 0) & (head["kind"] == Kind.ON_CPU))
    slept = (head["ts_ns"][resumed] - old["off_ts"][resumed]).astype(np.int64)
    np.add.at(new["wait_ns"], (resumed, old["off_wait"][resumed].astype(np.int64)), slept)
    ops[index] = new


def picked(records: Array, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Array:
    """Return ``records[index]``, moved as plain bytes: numpy moves fields one by one."""
    plain = np.ascontiguousarray(records).view(f"V{records.itemsize}")
    moved: Array = plain[index].view(records.dtype)
    return moved


def joined(parts: Sequence[Array]) -> Array:
    """Return ``np.concatenate(parts)`` of records of one dtype, moved as plain bytes."""
    dtype = parts[0].dtype
    whole = np.concatenate([np.ascontiguousarray(p).view(f"V{dtype.itemsize}") for p in parts])
    moved: Array = whole.view(dtype)
    return moved


def lost_events(ops: Array) -> npt.NDArray[np.bool_]:
    """Return where an event is missing: the numbers are not all there."""
    known = ops["opener"] != 0
    whole = (ops["seq_min"] == 0) & (ops["seq_max"] + 1 == ops["n_events"])
    lost: npt.NDArray[np.bool_] = known & ~whole
    return lost


def add_numbers(ops: Array, events: Ordered, first: _I8) -> None:
    """Add the range of sequence numbers to fresh operations, in place; they wrap as in C."""
    counts = np.diff(np.append(first, events.size))
    start = events["seq"][first]
    relative = (events["seq"] - np.repeat(start, counts)).view(np.int32)
    ops["seq_first"] = start
    ops["seq_min"] = np.minimum.reduceat(relative, first)
    ops["seq_max"] = np.maximum.reduceat(relative, first)


def _join_numbers(new: Array, old: Array) -> None:
    shift = (new["seq_first"] - old["seq_first"]).view(np.int32)
    new["seq_min"] = np.minimum(old["seq_min"], new["seq_min"] + shift)
    new["seq_max"] = np.maximum(old["seq_max"], new["seq_max"] + shift)
    new["seq_first"] = old["seq_first"]


def _prefer(ops: Array, name: str, first: Array, second: Array) -> None:
    empty = np.zeros((), ops.dtype[name])
    ops[name] = np.where(first != empty, first, second)
