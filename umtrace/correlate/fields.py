"""The fields of an operation, and how each is joined if the operation has two parts.

With these rules, an operation that is split between two batches gets the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from umtrace.correlate.waits import Wait
from umtrace.model.events import Kind

Column = npt.NDArray[Any]
Join = Callable[[Column, Column], Column]

#: the names of all fields, for the type checker; a test compares them with FIELDS
FieldName = Literal[
    "task",
    "tid",
    "tgid",
    "opener",
    "t_first",
    "flags",
    "cgroup",
    "mntns",
    "comm",
    "t_exit",
    "ret",
    "alone",
    "from_path",
    "t_end",
    "end",
    "end_a",
    "unseen",
    "superseded",
    "ended_at_once",
    "done_at",
    "seq_first",
    "seq_min",
    "seq_max",
    "n_events",
    "off_ts",
    "off_wait",
    "unknown_ns",
    "other_ns",
    "rcu_expedited_ns",
    "rcu_normal_ns",
    "rcu_piggyback_ns",
    "namespace_lock_ns",
    "lookup_ns",
    "shutdown_ns",
    "rcu_queue_ns",
    "unknown_waits",
    "other_waits",
    "rcu_expedited_waits",
    "rcu_normal_waits",
    "rcu_piggyback_waits",
    "namespace_lock_waits",
    "lookup_waits",
    "shutdown_waits",
    "rcu_queue_waits",
    "unknown_ended",
    "other_ended",
    "rcu_expedited_ended",
    "rcu_normal_ended",
    "rcu_piggyback_ended",
    "namespace_lock_ended",
    "lookup_ended",
    "shutdown_ended",
    "rcu_queue_ended",
    "mnt",
    "t_mount",
    "mount_id",
    "dev",
    "fstype",
    "mount_flags",
    "n_mounts",
    "mounts_unknown",
    "spaces",
    "spaces_unknown",
    "n_spread",
    "largest",
    "larger",
    "held",
    "held_unknown",
    "rcu_balance_ns",
    "own_gp",
    "joined_gp",
    "normal_gp",
    "gp",
    "locker",
    "locker_comm",
    "locker_does",
    "locker_held",
    "refcount",
    "own_put",
    "put_ts",
    "put_comm",
    "n_legitimized",
    "n_discounted",
    "t_path",
    "t_path_exit",
    "t_locked",
    "t_unlock",
    "t_unlock_exit",
    "t_rcu_exit",
    "t_cleanup_exit",
    "n_unlock",
    "n_unlock_exit",
    "n_rcu",
    "n_rcu_exit",
    "n_check",
    "n_checked",
    "n_cleanup",
    "n_cleanup_exit",
]


def earlier(old: Column, _new: Column) -> Column:
    """Return the earlier part's value."""
    return old


def later(_old: Column, new: Column) -> Column:
    """Return the later part's value."""
    return new


def first_known(old: Column, new: Column) -> Column:
    """Return the earlier part's value if it has one, else the later part's."""
    return np.where(old != np.zeros((), old.dtype), old, new)


def last_known(old: Column, new: Column) -> Column:
    """Return the later part's value if it has one, else the earlier part's."""
    return np.where(new != np.zeros((), new.dtype), new, old)


def total(old: Column, new: Column) -> Column:
    """Return the sum; of bool, whether either is true."""
    return old + new


def either(old: Column, new: Column) -> Column:
    """Return the bits of both."""
    return old | new


@dataclass(frozen=True, slots=True)
class Field:
    """The type of a field, in which 0 is "not seen", and how two parts of it are joined."""

    dtype: np.dtype[Any]
    join: Join


@dataclass(frozen=True, slots=True)
class Reduced:
    """A field with the first or the last time of some kinds of event, or with their number.

    Such a field needs no code of its own in ``reduce.py``.
    """

    how: Literal["first", "last", "number"]
    kinds: tuple[Kind, ...]

    @property
    def join(self) -> Join:
        """How two parts of the field are joined."""
        return {"first": first_known, "last": last_known, "number": total}[self.how]


def _first(*kinds: Kind) -> Reduced:
    return Reduced("first", kinds)


def _last(*kinds: Kind) -> Reduced:
    return Reduced("last", kinds)


def _number(*kinds: Kind) -> Reduced:
    return Reduced("number", kinds)


#: of the function tiers; times are ns
REDUCED: dict[FieldName, Reduced] = {
    "t_path": _first(Kind.PATH_UMOUNT),
    "t_path_exit": _last(Kind.PATH_UMOUNT_EXIT),
    "t_locked": _first(Kind.CHECK, Kind.TREE),  # the first event under namespace_sem
    "t_unlock": _last(Kind.UNLOCK),
    "t_unlock_exit": _last(Kind.UNLOCK_EXIT),
    "t_rcu_exit": _last(Kind.RCU_EXIT),
    "t_cleanup_exit": _last(Kind.CLEANUP_EXIT, Kind.CLEANUPS),
    "n_unlock": _number(Kind.UNLOCK),
    "n_unlock_exit": _number(Kind.UNLOCK_EXIT),
    "n_rcu": _number(Kind.RCU),
    "n_rcu_exit": _number(Kind.RCU_EXIT),
    "n_check": _number(Kind.CHECK),
    "n_checked": _number(Kind.CHECKED),
    "n_cleanup": _number(Kind.CLEANUP, Kind.CLEANUPS),
    "n_cleanup_exit": _number(Kind.CLEANUP_EXIT, Kind.CLEANUPS),
}


#: the field with the time off CPU in each class of wait
WAIT_NS = {wait: cast("FieldName", f"{wait.name.lower()}_ns") for wait in Wait}
#: the field with the number of waits that were seen
WAITS = {wait: cast("FieldName", f"{wait.name.lower()}_waits") for wait in Wait}
#: and the field with the number of these that have an end
ENDED = {wait: cast("FieldName", f"{wait.name.lower()}_ended") for wait in Wait}

#: times are int64 ns
FIELDS: dict[FieldName, Field] = {
    cast("FieldName", name): Field(np.dtype(dtype), join)
    for name, dtype, join in (
        (
            "task",
            "i8",
            later,
        ),  # tid, and in a higher bit whether the operation is nested in another one
        ("tid", "u4", later),
        ("tgid", "u4", later),
        ("opener", "u2", earlier),  # one of OPENERS, or 0 if the beginning was not seen
        ("t_first", "i8", earlier),  # first event of any kind
        ("flags", "i4", earlier),  # ret of the opener
        ("cgroup", "u8", earlier),
        ("mntns", "u4", earlier),
        ("comm", "S16", earlier),
        ("t_exit", "i8", last_known),
        # The next three are the later part's if it has an exit (``join.py``).
        ("ret", "i4", later),
        ("alone", "?", later),  # an EXIT of an umount that began before the trace
        (
            "from_path",
            "?",
            later,
        ),  # begins at path_umount, since the entry of the system call was not seen
        ("t_end", "i8", later),
        ("end", "u2", later),  # kind of the terminal event
        ("end_a", "u8", later),  # field ``a`` of that event
        ("unseen", "u4", either),  # model.events.Unseen
        ("superseded", "?", later),  # a new operation of the task began before this one ended
        ("ended_at_once", "?", either),  # its end is an ENDED: it has few other events
        ("done_at", "i8", later),  # position in the batch of the event that completed it
        ("seq_first", "u4", earlier),
        ("seq_min", "i8", later),  # relative to seq_first
        ("seq_max", "i8", later),
        ("n_events", "i8", total),
        ("off_ts", "i8", later),  # an OFF_CPU that has no ON_CPU yet
        ("off_wait", "i8", later),
        *((name, "i8", total) for name in WAIT_NS.values()),
        *((name, "i8", total) for name in WAITS.values()),
        *((name, "i8", total) for name in ENDED.values()),
        # Function tiers.
        ("mnt", "u8", first_known),
        ("t_mount", "i8", first_known),
        ("mount_id", "u8", first_known),
        ("dev", "u4", first_known),
        ("fstype", "S16", first_known),
        ("mount_flags", "u4", first_known),
        ("n_mounts", "i8", total),
        ("mounts_unknown", "?", total),
        ("spaces", "i8", total),  # mount namespaces
        ("spaces_unknown", "?", total),
        ("n_spread", "i8", total),  # how many unlocks put mounts of some namespace
        ("largest", "u8", first_known),  # words of SPREAD_OVER
        ("larger", "S16", first_known),
        ("held", "i8", total),
        ("held_unknown", "?", total),
        (
            "rcu_balance_ns",
            "i8",
            total,
        ),  # returns minus entries, valid if n_rcu == n_rcu_exit
        ("own_gp", "?", total),  # its own expedited grace period
        ("joined_gp", "?", total),  # shared with another task
        ("normal_gp", "?", total),  # not expedited
        ("gp", "i8", last_known),
        ("locker", "u4", first_known),  # who held namespace_sem, and what it did
        ("locker_comm", "S16", first_known),
        ("locker_does", "i4", first_known),
        ("locker_held", "i8", first_known),  # plus 1
        ("refcount", "i8", later),  # plus 1, 0 unknown; the later part's if it has a check
        ("own_put", "?", total),  # cleaned up the mount it unmounted itself
        # Filled by the tail keeper from the events of other tasks.
        ("put_ts", "i8", later),
        ("put_comm", "S16", later),
        ("n_legitimized", "i4", later),
        ("n_discounted", "i4", later),
    )
} | {name: Field(np.dtype("i8"), reduced.join) for name, reduced in REDUCED.items()}
