"""The Umount row: one per umount operation, whatever started it.

The table is an Arrow schema so that rows, recordings, exports and frames agree by
construction. Times are nanoseconds, an unknown value is null, ``errno`` is a
positive integer and 0 for success.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from functools import cache

import pyarrow as pa


class Use(Flag):
    """What is made of a column beside its place in the tables; docs/architecture.md says where."""

    NOTHING = 0
    CATEGORY = auto()  #: few distinct values: categorical in a DataFrame
    KEY = auto()  #: rows may be grouped by it
    SAME = auto()  #: all tiers that know it say the same of one umount: the self test compares it
    SHOWN = auto()  #: written beside an umount in a Perfetto trace
    PHASE = auto()  #: a part of ``latency_ns``


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name, type, doc : str, DataType, str
        The unit is in the name: ``_ns`` for nanoseconds.
    use : Use or None
        Of the Umount row; None is not decided, which a test refuses.
    word : str
        Of a duration: its word in tables and pictures.
    """

    name: str
    type: pa.DataType
    doc: str
    use: Use | None = None
    word: str = ""


_STR = pa.string()
_NS = pa.int64()

_NOTHING, _KEY, _SAME, _SHOWN, _PHASE = Use.NOTHING, Use.KEY, Use.SAME, Use.SHOWN, Use.PHASE
_CATEGORY = Use.CATEGORY

COLUMNS: tuple[Column, ...] = (
    Column(
        "id", pa.int64(), "number of the row in its recording, in order of completion", _NOTHING
    ),
    Column(
        "t_start", pa.timestamp("ns", tz="UTC"), "entry into the operation, wall clock", _NOTHING
    ),
    Column(
        "latency_ns",
        _NS,
        "entry to the end of the call or of its last cleanup; no wait for a CPU after that",
        _NOTHING,
        "latency",
    ),
    Column(
        "latency_bound",
        _STR,
        "how latency_ns is known: exact, upper, approx",
        _CATEGORY | _KEY | _SHOWN,
    ),
    Column("syscall_ns", _NS, "entry to syscall exit", _NOTHING, "syscall"),
    Column(
        "origin",
        _STR,
        "umount, ns-exit, detach-on-unlink, expire, fd-close, failed-mount, mount-internal, other",
        _CATEGORY | _KEY | _SAME | _SHOWN,
    ),
    Column("mode", _STR, "sync, or lazy (MNT_DETACH)", _CATEGORY | _KEY | _SAME | _SHOWN),
    Column("flags", pa.int32(), "umount2 flags", _SAME),
    Column("errno", pa.int32(), "0 for success", _KEY | _SAME | _SHOWN),
    Column("pid", pa.int32(), "thread group id", _SAME),
    Column("tid", pa.int32(), "thread id", _SAME),
    Column("comm", _STR, "task name at entry", _CATEGORY | _KEY | _SAME),
    Column("cgroup_id", pa.uint64(), "cgroup v2 id of the task", _SAME),
    Column("actor_unit", _STR, "systemd unit of the task that unmounted", _CATEGORY | _KEY),
    Column(
        "actor_container",
        _STR,
        "id of the container of the task that unmounted, or its name if it has no id",
        _CATEGORY | _KEY,
    ),
    Column("actor_runtime", _STR, "container runtime that made that container", _CATEGORY | _KEY),
    Column(
        "owner",
        _STR,
        "whose mount it was: pod or container by name, else the short id, else the systemd unit",
        _CATEGORY | _KEY | _SHOWN,
    ),
    Column("owner_kind", _STR, "container, pod, machine, unit", _CATEGORY | _KEY),
    Column(
        "owner_by",
        _STR,
        "evidence for the owner: mountpoint, mntns, actor; the best first",
        _CATEGORY | _KEY,
    ),
    Column(
        "owner_claimed",
        pa.bool_(),
        "whether somebody else than root may have chosen the path that names the owner",
        _NOTHING,
    ),
    Column(
        "container",
        _STR,
        "id of the owner's container, or its name if it has no id; until format 1.1 of the task's",
        _CATEGORY | _KEY | _SAME | _SHOWN,
    ),
    Column("container_name", _STR, "its name", _CATEGORY | _KEY | _SHOWN),
    Column("pod", _STR, "the owner's pod, namespace/name", _CATEGORY | _KEY | _SHOWN),
    Column("pod_uid", _STR, "uid of the pod in Kubernetes, id of the pod in podman", _CATEGORY),
    Column("image", _STR, "image of the container", _CATEGORY | _KEY),
    Column("unit", _STR, "systemd unit of the owner, or around its container", _CATEGORY | _KEY),
    Column("runtime", _STR, "container runtime of the owner", _CATEGORY | _KEY),
    Column(
        "by_command",
        pa.bool_(),
        "whether the task is COMMAND of `record -- COMMAND`, or a descendant",
        _KEY,
    ),
    Column("mntns", pa.uint32(), "inode number of the task's mount namespace", _KEY | _SAME),
    Column("path", _STR, "the path as given to umount(2)", _SAME | _SHOWN),
    Column("mountpoint", _STR, "where the mount was attached", _SAME),
    Column("fstype", _STR, "file system type", _CATEGORY | _KEY | _SAME | _SHOWN),
    Column("source", _STR, "device or source of the mount", _SAME),
    Column("dev", _STR, "major:minor of the superblock", _SAME),
    Column("mount_id", pa.uint64(), "unique mount id where the kernel has one", _SAME),
    Column("n_mounts", pa.int32(), "mounts taken down, propagated copies included", _SAME | _SHOWN),
    Column(
        "n_held",
        pa.int32(),
        "of n_mounts, those to which somebody else had a reference before the grace period",
        _SHOWN,
    ),
    Column(
        "n_mntns",
        pa.int32(),
        "mount namespaces that these mounts were in",
        _SHOWN,
    ),
    Column(
        "mntns_top",
        _STR,
        "if these are several: the three with most of the mounts, as inode number:mounts",
        _SHOWN,
    ),
    Column("lookup_ns", _NS, "path walk", _PHASE, "path lookup"),
    Column("lock_ns", _NS, "waiting for namespace_sem", _PHASE, "namespace lock"),
    Column("tree_ns", _NS, "umount_tree and propagation", _PHASE, "umount tree"),
    Column(
        "rcu_ns",
        _NS,
        "waiting for the RCU grace period in namespace_unlock",
        _PHASE,
        "RCU wait",
    ),
    Column("put_ns", _NS, "the mntput loop after the grace period", _PHASE, "mntput loop"),
    Column(
        "shutdown_ns",
        _NS,
        "file system shutdown after the call, on the way back to user mode",
        _PHASE,
        "fs shutdown",
    ),
    Column("other_ns", _NS, "the rest: latency_ns less the known phases", _PHASE, "other"),
    Column(
        "rcu_kind",
        _STR,
        "expedited, normal, piggybacked, none",
        _CATEGORY | _KEY | _SAME | _SHOWN,
    ),
    Column(
        "gp_seq",
        pa.int64(),
        "number of the grace period that was waited for; umounts with the same one shared it",
        _NOTHING,
    ),
    Column(
        "lock_holder_tid",
        pa.int32(),
        "thread that held namespace_sem for writing as the umount began to wait for it",
        _SHOWN,
    ),
    Column("lock_holder_comm", _STR, "name of that thread", _CATEGORY | _KEY | _SHOWN),
    Column(
        "lock_holder_op",
        _STR,
        "what it did: the origin of its own operation, or its system call",
        _CATEGORY | _KEY | _SHOWN,
    ),
    Column(
        "lock_held_ns",
        _NS,
        "how long it had held namespace_sem by then, if its own umount is recorded",
        _NOTHING,
        "held by the holder",
    ),
    Column(
        "final_put",
        _STR,
        "who dropped the last reference: self, other, kworker, pending",
        _CATEGORY | _KEY | _SAME,
    ),
    Column("final_put_comm", _STR, "task that dropped the last reference", _CATEGORY),
    Column("tail_ns", _NS, "end of latency_ns until the last final put", _NOTHING, "tail"),
    Column(
        "n_legitimized",
        pa.int32(),
        "path walkers that got a reference and must put it themselves",
        _NOTHING,
    ),
    Column(
        "n_discounted",
        pa.int32(),
        "path walkers that saw the dying mount and backed off",
        _NOTHING,
    ),
    Column("refcount", pa.int32(), "reference count at the busy check", _SAME),
    Column("tier", _STR, "probe tier that produced the row", _CATEGORY | _KEY),
    Column(
        "complete",
        pa.bool_(),
        "false where events were lost or the end was not seen",
        _SAME | _SHOWN,
    ),
    Column(
        "incomplete_why",
        _STR,
        "lost-events, no-enter, died, running, evicted",
        _CATEGORY,
    ),
)


def columns_with(use: Use) -> tuple[str, ...]:
    """Return the names of the columns that have this use, in the order of the row."""
    return tuple(column.name for column in COLUMNS if column.use and use in column.use)


#: The phases in the order in which they happen; their sum is ``latency_ns``.
PHASES = columns_with(Use.PHASE)

#: the words for the duration columns, in tables and pictures alike
WORDS = {column.name: column.word for column in COLUMNS if column.word}

SCHEMA: pa.Schema = pa.schema(
    [pa.field(c.name, c.type, metadata={b"doc": c.doc.encode()}) for c in COLUMNS]
)


@cache
def empty_rows() -> pa.RecordBatch:
    """Return a batch of no rows with the right schema."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in SCHEMA], schema=SCHEMA)
