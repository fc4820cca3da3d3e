"""The Umount row: one per umount operation, whatever started it.

The table is an Arrow schema so that rows, recordings, exports and frames agree by
construction. Times are nanoseconds, an unknown value is null, ``errno`` is a
positive integer and 0 for success.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

#: The phases in the order in which they happen; their sum is ``latency_ns``.
PHASES = (
    "lookup_ns",
    "lock_ns",
    "tree_ns",
    "rcu_ns",
    "put_ns",
    "shutdown_ns",
    "other_ns",
)

#: the words for the duration columns, in tables and pictures alike
WORDS = {
    "latency_ns": "latency",
    "syscall_ns": "syscall",
    "lookup_ns": "path lookup",
    "lock_ns": "namespace lock",
    "tree_ns": "umount tree",
    "rcu_ns": "RCU wait",
    "put_ns": "mntput loop",
    "shutdown_ns": "fs shutdown",
    "other_ns": "other",
    "tail_ns": "tail",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the Umount row: its name, Arrow type and meaning."""

    name: str
    type: pa.DataType
    doc: str


_STR = pa.string()
_NS = pa.int64()

COLUMNS: tuple[Column, ...] = (
    Column("id", pa.int64(), "number of the row in its recording, in order of completion"),
    Column("t_start", pa.timestamp("ns", tz="UTC"), "entry into the operation, wall clock"),
    Column(
        "latency_ns",
        _NS,
        "entry to the end of the call or of its last cleanup; no wait for a CPU after that",
    ),
    Column("latency_bound", _STR, "how latency_ns is known: exact, upper, approx"),
    Column("syscall_ns", _NS, "entry to syscall exit"),
    Column(
        "origin",
        _STR,
        "umount, ns-exit, detach-on-unlink, expire, fd-close, failed-mount, mount-internal, other",
    ),
    Column("mode", _STR, "sync, or lazy (MNT_DETACH)"),
    Column("flags", pa.int32(), "umount2 flags"),
    Column("errno", pa.int32(), "0 for success"),
    Column("pid", pa.int32(), "thread group id"),
    Column("tid", pa.int32(), "thread id"),
    Column("comm", _STR, "task name at entry"),
    Column("cgroup_id", pa.uint64(), "cgroup v2 id of the task"),
    Column("container", _STR, "container id found from the cgroup path"),
    Column("mntns", pa.uint32(), "inode number of the task's mount namespace"),
    Column("path", _STR, "the path as given to umount(2)"),
    Column("mountpoint", _STR, "where the mount was attached"),
    Column("fstype", _STR, "file system type"),
    Column("source", _STR, "device or source of the mount"),
    Column("dev", _STR, "major:minor of the superblock"),
    Column("mount_id", pa.uint64(), "unique mount id where the kernel has one"),
    Column("n_mounts", pa.int32(), "mounts taken down, propagated copies included"),
    Column("lookup_ns", _NS, "path walk"),
    Column("lock_ns", _NS, "waiting for namespace_sem"),
    Column("tree_ns", _NS, "umount_tree and propagation"),
    Column("rcu_ns", _NS, "waiting for the RCU grace period in namespace_unlock"),
    Column("put_ns", _NS, "the mntput loop after the grace period"),
    Column("shutdown_ns", _NS, "file system shutdown after the call, on the way back to user mode"),
    Column("other_ns", _NS, "the rest: latency_ns less the known phases"),
    Column("rcu_kind", _STR, "expedited, normal, piggybacked, none"),
    Column("final_put", _STR, "who dropped the last reference: self, other, kworker, pending"),
    Column("final_put_comm", _STR, "task that dropped the last reference"),
    Column("tail_ns", _NS, "end of latency_ns until the last final put"),
    Column(
        "n_legitimized", pa.int32(), "path walkers that got a reference and must put it themselves"
    ),
    Column("n_discounted", pa.int32(), "path walkers that saw the dying mount and backed off"),
    Column("refcount", pa.int32(), "reference count at the busy check"),
    Column("tier", _STR, "probe tier that produced the row"),
    Column("complete", pa.bool_(), "false where events were lost or the end was not seen"),
    Column("incomplete_why", _STR, "lost-events, no-enter, died, running, evicted"),
)

SCHEMA: pa.Schema = pa.schema(
    [pa.field(c.name, c.type, metadata={b"doc": c.doc.encode()}) for c in COLUMNS]
)


@cache
def empty_rows() -> pa.RecordBatch:
    """Return a batch of no rows with the right schema."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in SCHEMA], schema=SCHEMA)
