"""Reads from /proc which tasks are inside an umount; a child process reads what may hang.

/proc/PID/stack and syscall wait for a task in the middle of execve(2). No descriptor, directory or
namespace of another process is opened, and no mount table of one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from umtrace.holders import procfs
from umtrace.holders.answering import UMOUNT_CALLS
from umtrace.holders.asker import asker
from umtrace.owners.cgroup_paths import place_of_task
from umtrace.stuck import stacks

# positions after the name in /proc/PID/stat
_STATE, _STIME, _START, _CPU, _POLICY = 0, 12, 19, 36, 38
_TICKS = os.sysconf("SC_CLK_TCK")
_NS = 1_000_000_000
_MOST_PATH = 4096
_REALTIME = {os.SCHED_FIFO, os.SCHED_RR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A task at one moment; ``ran`` is the text of its schedstat, empty if not known."""

    pid: int
    tid: int
    comm: str
    state: str
    started: int  #: clock ticks after the boot
    cpu: int  #: where it ran last
    stime: int  #: clock ticks in the kernel
    ran: str
    words: tuple[int, ...]  #: number and arguments of its system call; empty if not known
    names: tuple[str, ...]  #: of the functions on its kernel stack, innermost first
    stand: stacks.Stand | None
    realtime: bool = False  #: SCHED_FIFO or SCHED_RR

    @property
    def in_umount(self) -> bool:
        """Whether its system call is umount(2)."""
        return bool(self.words) and self.words[0] in UMOUNT_CALLS

    @property
    def ran_ns(self) -> int:
        """How long it has run, ns; 0 if that is not known."""
        return int(self.ran.split()[0]) if self.ran else 0

    @property
    def slices(self) -> str:
        """How often it was given a CPU, as text."""
        return self.ran.rpartition(" ")[2]

    @property
    def age_ns(self) -> int:
        """How long ago the task was made, ns."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.started * _NS // _TICKS


def stacks_hidden() -> str | None:
    """Return why /proc/PID/stack cannot be read; None if it can."""
    try:
        Path("/proc/self/stack").read_bytes()
    except FileNotFoundError:
        if not Path("/proc/self").exists():
            return "/proc is not mounted here: mount -t proc proc /proc"
        return "the kernel was built without /proc/PID/stack (CONFIG_STACKTRACE)"
    except PermissionError:
        return "kernel stacks are not shown: run it as root, with CAP_SYS_ADMIN of the host"
    except OSError as error:
        return f"/proc/PID/stack: {error.strerror}"
    return None


def samples(
    pids: Sequence[int], lost: list[str], until: float, *, beside: bool = False
) -> Iterator[Sample]:
    """Yield the tasks of these processes that may hang; ``lost`` gets what could not be read.

    ``beside`` reads the stacks of tasks that run, too; each costs its task a switch.
    """
    n_answers = 0
    for pid, answer in asker().of_each("asleep", pids, beside, until=until):
        n_answers += 1
        if isinstance(answer, TimeoutError):
            lost.append(f"pid {pid} ({procfs.comm(pid) or '?'}): no answer")
        elif not isinstance(answer, OSError):
            yield from (_sample(pid, *each) for each in answer)
    if n_answers < len(pids):
        lost.append(f"{len(pids) - n_answers} processes (out of time)")


def _sample(pid: int, tid: int, stat: bytes, ran: bytes, call: bytes, stack: bytes) -> Sample:
    head, _, tail = stat.partition(b"(")[2].rpartition(b")")
    fields = tail.split()
    words = () if call[:1] not in b"0123456789" else tuple(int(w, 0) for w in call.split())
    names = tuple(stacks.frames(stack.decode()))
    comm = head.decode(errors="replace")
    in_call = bool(words) and words[0] in UMOUNT_CALLS
    return Sample(
        pid=pid,
        tid=tid,
        comm=comm,
        state=fields[_STATE].decode(),
        started=int(fields[_START]),
        cpu=int(fields[_CPU]),
        stime=int(fields[_STIME]),
        ran=ran.decode().strip(),
        words=words,
        names=names,
        stand=stacks.stand(names, comm, in_call=in_call),
        realtime=int(fields[_POLICY]) in _REALTIME,
    )


def path_of(sample: Sample) -> str | None:
    """Return the path of its umount(2), or of the call before it, as the program gave it."""
    if len(sample.words) < 3:  # noqa: PLR2004  a path and at least one argument more
        return None
    at = 1 if sample.in_umount else 2  # of newfstatat, openat, statx
    with suppress(OSError):
        data: bytes = asker().ask("memory", sample.pid, sample.words[at], _MOST_PATH)
        name, end, _ = data.partition(b"\0")
        return os.fsdecode(name) if end and name[:1] == b"/" else None
    return None


def container_of(pid: int) -> str | None:
    """Return the container of a process; None for the host, or if it is not known."""
    with suppress(OSError):
        text: bytes = asker().ask("beginning", b"/proc/%d/cgroup" % pid)
        return place_of_task(os.fsdecode(text)).container
    return None


def text_of(path: str) -> str:
    """Return the beginning of a file that may not answer; empty then."""
    with suppress(OSError):
        return os.fsdecode(asker().ask("beginning", os.fsencode(path)))
    return ""
