"""Ring buffer pages built by hand, and captures of real kernels."""

from __future__ import annotations

import struct

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import Origin
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.translate import Translator


def page(ts, *words, missed=False):
    """A page that begins at ``ts`` and holds these 32-bit words."""
    body = struct.pack(f"<{len(words)}I", *words)
    commit = len(body) | (1 << 31 if missed else 0)
    return struct.pack("<QQ", ts, commit) + body


def head(kind, delta):
    return delta << 5 | kind


def translator(shift=0, origin=Origin.NS_EXIT):
    return Translator(TaskTracker(), lambda _address: origin, shift=shift, watching=False)


def record(ts, name, tid=7, cpu=0, **fields):
    return Record(ts, tid, cpu, name, fields)


def umount(ts=1000, tid=7, ret=0, **enter):
    """A sync umount as the kernel tells it, with all that belongs to it."""
    fields = {"path": b"/mnt/a", "flags": 0, "comm": b"umount", **enter}
    steps = [
        ("um_enter", fields),
        ("um_path", {"flags": 0, "comm": b"umount", "vfsmount": 0x120, **MOUNT}),
        ("um_check", {"mnt": 0x100}),
        ("um_count", {"mnt": 0x100, **NS}),
        ("um_counted", {"ret": 3 if ret else 2}),
        ("um_checked", {"ret": int(bool(ret))}),
    ]
    steps += [] if ret else TAKEN_DOWN
    steps += [("um_path_exit", {"ret": ret}), ("um_exit", {"ret": ret})]
    steps += [] if ret else [("um_cleanup", CLEANUP), ("um_cleanup_exit", {})]
    return [record(ts + 10 * i, name, tid, **fields) for i, (name, fields) in enumerate(steps)]


NS = {"ns": 0xFFFF888000000000, "inum": 4026531841}
MOUNT = {"id": 55, "mflags": 0x1000, "dev": 40, "fstype": b"tmpfs", "source": b"none", **NS}
CLEANUP = {"mnt": 0x100, "comm": b"umount", "mflags": 0x2000000, "active": 1, "dev": 40}
TAKEN_DOWN = [
    ("um_tree", {"mnt": 0x100, "how": 3, "caller": 1, "comm": b"umount"}),
    ("um_unlock", {}),
    ("um_rcu", {}),
    ("um_rcu_exit", {}),
    ("um_count", {"mnt": 0x100, **NS}),
    ("um_counted", {"ret": 1}),
    ("um_unlock_exit", {}),
    ("um_count", {"mnt": 0x100, **NS}),
    ("um_counted", {"ret": 0}),
]


def rows(*batches):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="ftrace")
    found = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    return found + correlator.finish().to_pylist()


PUT_NS, PATH_UMOUNT, UNNAMED = 1, 2, 3  # return addresses at umount_tree
CALLERS = {PUT_NS: Origin.NS_EXIT, PATH_UMOUNT: Origin.UMOUNT}


def callers():
    """A translator that knows these addresses."""
    return Translator(TaskTracker(), CALLERS.get, shift=0x20, watching=False)


class Task:
    """Writes the records of one task, 10 ns apart."""

    def __init__(self, ts=1000, tid=7):
        self.ts, self.tid, self.records = ts, tid, []

    def add(self, *steps):
        for name, fields in steps:
            self.records.append(record(self.ts, name, self.tid, **fields))
            self.ts += 10
        return self

    def umount(self, mounts=1):
        """A lazy umount up to its exit: it drops the last references of so many."""
        last = [("um_count", {"mnt": 0x100, **NS}), ("um_counted", {"ret": 0})]
        return self.add(
            ("um_enter", {"flags": 2, "comm": b"umount"}),
            ("um_name", {"path": b"/mnt/a"}),
            ("um_path", {"flags": 2, "comm": b"umount", "vfsmount": 0x120, **MOUNT}),
            ("um_tree", {"mnt": 0x100, "how": 3, "caller": PATH_UMOUNT, "comm": b"umount"}),
            ("um_unlock", {}),
            ("um_rcu", {}),
            ("um_rcu_exit", {}),
            *(last * mounts),
            ("um_unlock_exit", {}),
            ("um_path_exit", {"ret": 0}),
            ("um_exit", {"ret": 0}),
        )

    def tree(self, mnt=0x500, caller=PUT_NS, **of):
        fields = {**MOUNT, "mnt": mnt, "how": 0, "caller": caller, "comm": b"umount", **of}
        return self.add(("um_tree", fields))

    def namespace_ends(self, mounts=1, **of):
        """The last put of a namespace, in which it drops the last references of so many."""
        last = [("um_count", {"mnt": 0x500, **NS}), ("um_counted", {"ret": 0})]
        self.tree(**of).add(("um_unlock", {}), ("um_rcu", {}), ("um_rcu_exit", {}))
        return self.add(*(last * mounts), ("um_unlock_exit", {}))

    def cleans(self, mnt=0x100, *, inside=None):
        self.add(("um_cleanup", {**CLEANUP, "mnt": mnt}))
        if inside:
            inside(self)
        return self.add(("um_cleanup_exit", {}))
