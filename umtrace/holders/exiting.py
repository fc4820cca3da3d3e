"""Tasks on their way out, which show nothing of what they still hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from umtrace.holders import procfs

# of what follows the name in /proc/PID/stat
_STATE, _FLAGS, _START = 0, 6, 19
_PF_EXITING = 0x4
_GONE = frozenset("ZXx")


class Task(NamedTuple):
    """A thread of a process, and when it started: its number is used again."""

    pid: int
    tid: int
    start: str


def exiting_tasks() -> set[Task]:
    """Return the tasks that are on their way out.

    A task gives back its memory and closes its files after exit_mm() has taken both out of its
    sight (do_exit in kernel/exit.c): large memory takes seconds. A zombie has nothing left.
    """
    return {task for pid in procfs.pids() for task in _exiting_of(pid)}


def still_exiting(before: set[Task]) -> list[str]:
    """Return, in words, those that have not ended since; one that has is no reason for doubt."""
    left = sorted(task for task in before if task in set(_exiting_of(task.pid)))
    pids = dict.fromkeys(task.pid for task in left)
    return [
        f"what {procfs.comm(pid) or '?'} (pid {pid}) still holds: it is exiting" for pid in pids
    ]


def _exiting_of(pid: int) -> Iterator[Task]:
    """Yield a process's exiting tasks: its first may be a zombie while another is on the way."""
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
