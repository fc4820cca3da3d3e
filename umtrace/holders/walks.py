"""Tasks that wait inside a path walk, which keeps the mount that the walk is in busy.

No descriptor shows such a walk. It waits for a server that does not answer, or for the other end of
a FIFO.
"""

from __future__ import annotations

import ctypes
import os
import posixpath
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from umtrace.holders import procfs
from umtrace.holders.asker import asker
from umtrace.holders.pathcalls import PATH_CALLS
from umtrace.holders.waitcalls import waits_on

_AT_FDCWD = -100
_MOST_PATH = 4096
_MOST_SHOWN = 3
_silent: set[int] = set()  #: processes whose memory is locked
_SECOND_SAMPLE_S = 0.05
_LOW = 1 << 32  # the stack of a 32-bit task is below; its call numbers differ
#: programs that unmount; before the system call they ask for the path
UNMOUNTERS = re.compile(r"^(?:umount|fusermount)")
UMOUNT = "umount"  #: the call of a task whose umount(2) walks its path
#: functions on the stack of a waiting path walk, of any system call
_WALKS = (b"link_path_walk", b"lookup_slow", b"filename_lookup", b"path_openat", b"path_lookupat")


@dataclass(frozen=True, slots=True)
class Walk:
    """A task in a call, and the path that it walks (None if not known)."""

    pid: int
    tid: int
    syscall: str
    call: str
    path: str | None
    ran_ns: int | None

    def goes_on(self, waiting: dict[int, str]) -> bool:
        """Whether it is still in that call: same call, and it did not run since."""
        ran_ns = procfs.running(self.pid, self.tid)[1]
        return waiting.get(self.tid) == self.syscall and ran_ns == self.ran_ns


def walks(pids: Sequence[int], lost: list[str], until: float) -> Iterator[Walk]:
    """Yield the tasks that wait inside a path walk; ``lost`` gets what could not be read."""
    closed = 0
    _silent.clear()
    for pid, tasks in _waiting(pids, lost, until):
        closed += any(not line and _is_there(pid, tid) for tid, line, _ in tasks)
        for tid, line, stack in tasks:
            ran_ns = procfs.running(pid, tid)[1]
            for call, path in _paths(pid, tid, line, stack):
                yield Walk(pid, tid, line, call, path, ran_ns)
    lost += [f"what {procfs.comm(pid) or '?'} (pid {pid}) waits on: no answer" for pid in _silent]
    if closed:  # for example with kernel.yama.ptrace_scope=3
        lost.append(f"path walks of {closed} processes (their system calls are not shown)")


def _is_there(pid: int, tid: int) -> bool:
    return os.path.isdir(f"/proc/{pid}/task/{tid}") and not procfs.is_kernel_thread(pid)  # noqa: PTH112


def still_walking(found: Sequence[Walk], lost: list[str]) -> set[Walk]:
    """Return the walks that are in the same call in a second sample."""
    if not found:
        return set()
    time.sleep(_SECOND_SAMPLE_S)
    pids = sorted({walk.pid for walk in found})
    later = dict(_waiting(pids, lost, time.monotonic() + len(pids)))
    lines = {pid: {tid: line for tid, line, _ in tasks} for pid, tasks in later.items()}
    return {walk for walk in found if walk.goes_on(lines.get(walk.pid, {}))}


def _waiting(
    pids: Sequence[int], lost: list[str], until: float
) -> Iterator[tuple[int, list[tuple[int, str, bytes]]]]:
    n_answers = 0
    for pid, answer in asker().of_each("calls", pids, until=until):
        n_answers += 1
        if isinstance(answer, TimeoutError):
            if procfs.is_kernel_thread(pid):
                continue  # it walks no path of a user
            name = procfs.comm(pid) or "?"
            lost.append(f"path walks of pid {pid} ({name}): {answer.strerror}")
        elif not isinstance(answer, OSError):
            yield pid, [(tid, line.decode().strip(), stack) for tid, line, stack in answer]
    if n_answers < len(pids):
        lost.append(f"path walks of {len(pids) - n_answers} processes (out of time)")


def _paths(pid: int, tid: int, line: str, stack: bytes) -> Iterator[tuple[str, str | None]]:
    words = [int(word, 0) for word in line.split() if word != "running"]
    known = bool(words) and words[-2] >= _LOW
    call = PATH_CALLS.get(words[0]) if known else None
    waits = waits_on(words[:-2], partial(_memory, pid)) if known else None
    if waits is not None and (closed := _closed(pid, tid, waits[1])):
        fds = ", ".join(map(str, closed[:_MOST_SHOWN]))
        yield f"{waits[0]} of fd {fds}, closed meanwhile,", None
        return
    if call is None:
        if any(name in stack for name in _WALKS):
            unmounts = known and b"sys_umount" in stack
            path = _read(pid, words[1]) if unmounts else None
            yield UMOUNT if unmounts else "a path walk", path and _absolute(pid, tid, None, path)
        return
    for path_at, directory_at in call.paths:
        path = _read(pid, words[1 + path_at])
        if path is not None and call.name == "mount" and path_at == 0 and path[:1] != "/":
            continue  # a source that is no path
        directory = None if directory_at is None else ctypes.c_int(words[1 + directory_at]).value
        yield call.name, path and _absolute(pid, tid, directory, path)


def _closed(pid: int, tid: int, waited_on: Sequence[int]) -> list[int]:
    """Return the descriptors that another thread has closed and this one still waits on."""
    try:
        there = {*os.listdir(f"/proc/{pid}/task/{tid}/fd")}  # noqa: PTH208
    except OSError:
        return []
    return [number for number in waited_on if str(number) not in there]


def _memory(pid: int, address: int, size: int) -> bytes:
    if pid in _silent:
        return b""
    try:
        data: bytes = asker().ask("memory", pid, address, size)
    except TimeoutError:  # its memory is locked, and all its threads share it
        _silent.add(pid)
    except OSError:
        pass
    else:
        return data
    return b""


def _read(pid: int, address: int) -> str | None:
    name, end, _ = _memory(pid, address, _MOST_PATH).partition(b"\0")
    return os.fsdecode(name) if end and name else None


def _absolute(pid: int, tid: int, directory: int | None, path: str) -> str | None:
    """Return a path from the root of its mount namespace; None if that is not known."""
    task = f"/proc/{pid}/task/{tid}"
    if path.startswith("/"):
        link = "root"
    else:
        link = "cwd" if directory in {None, _AT_FDCWD} else f"fd/{directory}"
    try:
        start = os.readlink(f"{task}/{link}")  # noqa: PTH115
    except OSError:
        return None
    if not start.startswith("/"):
        return None
    return "/" + posixpath.normpath(f"{start}/{path}").lstrip("/")
