"""Lists the tasks of the host, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from umtrace.kernel.cgroups import cgroup2_root

_PROC = Path("/proc")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO


class Task(NamedTuple):
    """A task; ``cgroup`` is 0 and ``comm`` is empty if it is not known."""

    tid: int
    tgid: int
    cgroup: int
    comm: bytes


def numbers_are_ours() -> bool:
    """Whether /proc has the task ids of trace records, those of the first pid namespace."""
    try:
        return (_PROC / "self/ns/pid").stat().st_ino == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def tasks_lost() -> str:
    """Return what is unknown of tasks from before the trace, and why; empty if nothing is."""
    why = "/proc is of another pid namespace than the first"
    return "" if numbers_are_ours() else f"pid, cgroup, name of tasks from before ({why})"


def tasks(*, names: bool) -> list[Task]:
    """Return all tasks, with their names if wanted; it takes some 50 us for each process."""
    return list(_tasks(_CgroupIds(), names=names)) if numbers_are_ours() else []


def _tasks(ids: _CgroupIds, *, names: bool) -> Iterator[Task]:
    for name in os.listdir(_PROC):  # noqa: PTH208 - thousands
        if not name.isdigit():
            continue
        with suppress(OSError):
            lines = os.fsdecode((_PROC / name / "cgroup").read_bytes()).split("\n")
            path = next((line[3:] for line in lines if line.startswith("0::")), "")
            cgroup = ids(path) if path else 0
            for tid in os.listdir(_PROC / name / "task"):  # noqa: PTH208
                yield Task(int(tid), int(name), cgroup, _comm(name, tid) if names else b"")


def _comm(pid: str, tid: str) -> bytes:
    with suppress(OSError):
        return (_PROC / pid / "task" / tid / "comm").read_bytes().rstrip(b"\n")
    return b""


class _CgroupIds:
    def __init__(self) -> None:
        self._root = cgroup2_root()
        self._known: dict[str, int] = {}

    def __call__(self, path: str) -> int:
        if self._root is None:
            return 0
        if path not in self._known:
            self._known[path] = 0
            with suppress(OSError):
                self._known[path] = os.stat(self._root + path).st_ino  # noqa: PTH116 - many
        return self._known[path]
