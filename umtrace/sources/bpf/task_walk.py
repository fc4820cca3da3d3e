"""Asks the kernel which processes have something open on some mounts.

A BPF program looks at each task (``bpf/holders.c``). A pass over 140 processes with ten files each
costs a hundredth of the instructions that their links in /proc cost, and needs the CPU once. It
takes no reference, unlike a read of a link.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from umtrace.model.errors import UmtraceError
from umtrace.model.plan_line import PlanLine
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import open_iterator, put, remove

_PROGRAM: Final = "um_holders"
_KEY: Final = struct.Struct("=Q")
_HOLDS: Final = struct.Struct("=IIII")  # struct um_holds
_READ_BYTES: Final = 1 << 16
_MOST_MOUNTS: Final = 128  # half of UM_WANTED: a hash map that is full refuses some
_MOST_TASKS: Final = 4096
_MEANING: Final = "first to be read"
_ELSE: Final = "after an EBUSY the processes of the umounter's cgroup and session are read first"


class Holds(NamedTuple):
    """What a task had open on the mounts at some moment of the pass; ids of the host."""

    pid: int
    tid: int
    places: int  #: bits: working directory, root directory, executable
    files: int


class TaskWalk:
    """Walks the tasks of the host; of several threads, one at a time.

    After ``close`` it finds nothing: a scan may outlive its source, whose descriptors are then
    those of other files.

    Parameters
    ----------
    loaded : BpfObject
    btf_id : int
        Of ``bpf_iter_task``.
    """

    def __init__(self, loaded: BpfObject, btf_id: int) -> None:
        self._lock = threading.Lock()
        self._wanted = loaded.map_fd("wanted")
        self._link = loaded.attach_iterator(_PROGRAM, btf_id)
        self._closed = False

    def close(self) -> None:
        """Wait for a pass that runs, and begin no other one."""
        with self._lock:
            self._closed = True

    def __call__(self, mount_ids: Collection[int]) -> list[int]:
        """Return the processes that have something open on one of the mounts.

        Empty also if the kernel refuses: what it says is where to look first, and no evidence.
        """
        with suppress(OSError):
            return list(dict.fromkeys(found.pid for found in self.walk(mount_ids)))
        return []

    def walk(self, mount_ids: Collection[int]) -> list[Holds]:
        """Return what each task has open on the mounts, at most 4,096 tasks; see `__call__`.

        Raises
        ------
        OSError
            The kernel refuses.
        """
        with self._lock:
            if self._closed or not mount_ids:
                return []
            with self._marked(list(mount_ids)[:_MOST_MOUNTS]):
                return self._passed()

    def _passed(self) -> list[Holds]:
        pass_fd = open_iterator(self._link)
        try:
            return [Holds(*words) for words in _records(pass_fd)]
        finally:
            os.close(pass_fd)

    @contextmanager
    def _marked(self, mount_ids: Collection[int]) -> Iterator[None]:
        keys = [_KEY.pack(each) for each in mount_ids]
        try:
            for key in keys:
                put(self._wanted, key, b"\1\0\0\0")
            yield
        finally:
            for key in keys:
                with suppress(OSError):
                    remove(self._wanted, key)


def walk_tasks(loaded: BpfObject, btf_id: int) -> tuple[TaskWalk | None, PlanLine]:
    """Return the walk, or None where the kernel has none, and what the plan says of it."""
    line = PlanLine(meaning=_MEANING, probe="iter/task", how="iterator")
    if not (btf_id and loaded.has_program(_PROGRAM)):
        why = f"no task iterator with bpf_loop (5.17); {_ELSE}"
        return None, PlanLine(meaning=_MEANING, state="substitute", reason=why)
    try:
        return TaskWalk(loaded, btf_id), line
    except UmtraceError as error:
        return None, PlanLine(meaning=_MEANING, state="substitute", reason=f"{error}; {_ELSE}")


def _records(pass_fd: int) -> Iterator[tuple[int, ...]]:
    """Yield the records of a pass; what one read returns ends where a record does."""
    left = _MOST_TASKS
    while left > 0 and (data := os.read(pass_fd, _READ_BYTES)):
        for words in _HOLDS.iter_unpack(data[: len(data) // _HOLDS.size * _HOLDS.size]):
            left -= 1
            yield words
