"""Tasks that are exiting, which show nothing of what they still hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from umtrace.holders import procfs

# positions after the name in /proc/PID/stat
_STATE, _FLAGS, _START = 0, 6, 19
_PF_EXITING = 0x4
_GONE = frozenset("ZXx")


class Task(NamedTuple):
    """A thread, with its start time in clock ticks, because its number is used again."""

    pid: int
    tid: int
    start: str


def exiting_tasks() -> set[Task]:
    """Return the tasks that are exiting.

    A task frees its memory and closes its files when /proc no longer shows them (do_exit in
    kernel/exit.c). Large memory takes seconds. A zombie holds nothing.
    """
    return {task for pid in procfs.pids() for task in _exiting_of(pid)}


def still_exiting(before: set[Task]) -> list[str]:
    """Return a phrase for each process of ``before`` that has not ended since."""
    left = sorted(task for task in before if task in set(_exiting_of(task.pid)))
    pids = dict.fromkeys(task.pid for task in left)
    return [
        f"what {procfs.comm(pid) or '?'} (pid {pid}) still holds: it is exiting" for pid in pids
    ]


def _exiting_of(pid: int) -> Iterator[Task]:
    """Yield the exiting tasks of a process; its first may be a zombie before the others."""
    first = _task(pid, pid)
    if first is None:
        return
    state, flags, task = first
    if flags & procfs.PF_KTHREAD or not flags & _PF_EXITING:
        return
    if state not in _GONE:
        yield task
    for tid in procfs.threads(pid):
        other = _task(pid, tid)
        if other is not None and other[1] & _PF_EXITING and other[0] not in _GONE:
            yield other[2]


def _task(pid: int, tid: int) -> tuple[str, int, Task] | None:
    with suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/task/{tid}/stat").read_bytes().rpartition(b")")[2]
        fields = text.decode("ascii").split()
        return fields[_STATE], int(fields[_FLAGS]), Task(pid, tid, fields[_START])
    return None
