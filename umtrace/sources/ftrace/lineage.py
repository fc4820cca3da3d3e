"""Which process and which cgroup a task belongs to, followed from its birth.

An event says which task it is of and no more, and by the time it is read the task may be
gone. So the tasks there are get looked up once, and from then on forks, deaths and
moves between cgroups are traced themselves: what is said of a task is never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.sources.ftrace.records import Record

EVENTS = ("task:task_newtask", "sched:sched_process_exit", "cgroup:cgroup_attach_task")
NAMING = "task:task_rename"  #: traced too where no other event says the name of a task
_CLONE_THREAD = 0x10000
_CLONE_INTO_CGROUP = 0x200000000
_PROC = Path("/proc")


class Lineage:
    """Fed with the records of EVENTS in the order of time."""

    def __init__(self, *, births: bool = True) -> None:
        self._births = births
        self._leader: dict[int, int] = {}  # of tasks that are not their process's first
        self._cgroup: dict[int, int] = {}
        self._comm: dict[int, bytes] = {}

    def look(self, *, names: bool = False) -> None:
        """Look up the tasks there are; call it once births, and names if wanted, are traced."""
        ids = _CgroupIds()
        for tid, leader, cgroup in _tasks(ids):
            if names:
                with suppress(OSError):
                    self._comm[tid] = (
                        (_PROC / f"{leader}/task/{tid}/comm").read_bytes().rstrip(b"\n")
                    )
            if tid != leader:
                self._leader[tid] = leader
            if cgroup:
                self._cgroup[tid] = cgroup

    def tgid(self, tid: int) -> int:
        """Return the process of a task."""
        return self._leader.get(tid, tid)

    def cgroup(self, tid: int) -> int:
        """Return the cgroup v2 id of a task, 0 if it is not known."""
        return self._cgroup.get(tid, 0)

    def comm(self, tid: int) -> bytes:
        """Return the name of a task; empty if it is not known."""
        return self._comm.get(tid, b"")

    def see(self, record: Record) -> None:
        """Take in a birth, a death, a move, or another name."""
        tid = record.fields["pid"]
        if record.name == "task_newtask":
            self._born(tid, record.tid, record.fields["clone_flags"])
            self._comm[tid] = _name(record.fields.get("comm", b""))
        elif record.name == "task_rename":
            self._comm[tid] = _name(record.fields["newcomm"])
        elif record.name == "sched_process_exit":
            for known in (self._leader, self._cgroup, self._comm):
                known.pop(tid, None)
        elif record.fields["dst_root"] == 0:
            moved = [tid, *(t for t, leader in self._leader.items() if leader == tid)]
            self._cgroup.update(dict.fromkeys(moved, record.fields["dst_id"]))

    def _born(self, tid: int, parent: int, flags: int) -> None:
        self._leader.pop(tid, None)
        if flags & _CLONE_THREAD:
            self._leader[tid] = self.tgid(parent)
        self._cgroup.pop(tid, None)
        if parent in self._cgroup and not flags & _CLONE_INTO_CGROUP:
            self._cgroup[tid] = self._cgroup[parent]


def _name(comm: bytes) -> bytes:
    return comm.partition(b"\0")[0]


class _CgroupIds:
    def __init__(self) -> None:
        self._root: str | None = None
        self._known: dict[str, int] = {}
        with suppress(OSError):
            for line in (_PROC / "self/mounts").read_text(errors="replace").splitlines():
                _source, place, fstype, *_ = line.split()
                if fstype == "cgroup2":
                    self._root = place
                    break

    def __call__(self, path: str) -> int:
        if self._root is None:
            return 0
        if path not in self._known:
            self._known[path] = 0
            with suppress(OSError):
                self._known[path] = os.stat(self._root + path).st_ino  # noqa: PTH116 - many
        return self._known[path]


def _tasks(ids: _CgroupIds) -> Iterator[tuple[int, int, int]]:
    for name in os.listdir(_PROC):  # noqa: PTH208 - thousands
        if not name.isdigit():
            continue
        with suppress(OSError):
            text = (_PROC / name / "cgroup").read_text(errors="replace")
            path = next((ln[3:] for ln in text.splitlines() if ln.startswith("0::")), "")
            cgroup = ids(path) if path else 0
            for tid in os.listdir(_PROC / name / "task"):  # noqa: PTH208
                yield int(tid), int(name), cgroup
