"""Reads /proc/PID without opening what the process has open.

readlink(2) of /proc/PID/fd/N takes a reference to the open file for about a microsecond. This
cannot make a free mount busy, because the process holds a reference itself. This module never reads
/proc/PID/mountinfo, mounts and mountstats, which pin the namespace while they are open.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from umtrace.holders import looking
from umtrace.holders.asker import asker

_PROC = "/proc"
LINKS = ("exe", "cwd", "root")
_DELETED = " (deleted)"
_FLAGS = 6  # position after the name in /proc/PID/stat
PF_KTHREAD = 0x00200000
_silent: set[int] = set()  # processes without an answer about their mappings
INIT_PID_NS = 0xEFFFFFFC  # PROC_PID_INIT_INO


@dataclass(frozen=True, slots=True)
class Open:
    """Something that a task has open; ``fd`` is None for cwd, root, exe and maps.

    Of a bound socket, ``path`` is the name given to bind(2), which may be relative, ``dev`` is the
    ``major:minor`` of its file, and ``reads`` is the text of its link in /proc. Of a mapping,
    ``writes`` and ``dev`` are set, and ``mnt_id`` if the kernel shows it.
    """

    pid: int
    tid: int
    kind: str
    path: str
    fd: int | None = None
    dev: str | None = None
    reads: str | None = None
    writes: bool | None = None
    mnt_id: int | None = None

    @property
    def task(self) -> str:
        """The folder in /proc of the thread that has it open."""
        return f"{self.pid}" if self.tid == self.pid else f"{self.pid}/task/{self.tid}"

    @property
    def link(self) -> str:
        """The link of it in /proc."""
        task = f"{_PROC}/{self.task}"
        return f"{task}/fd/{self.fd}" if self.fd is not None else f"{task}/{self.kind}"

    def still(self) -> bool:
        """Whether the task has it open now."""
        if self.kind == "maps":
            return True  # a mapping does not come and go
        return _readlink(self.link) == (self.reads or self.path)


def pids() -> list[int]:
    """Return the processes in /proc, the largest pid first."""
    return sorted((int(name) for name in os.listdir(_PROC) if name.isdigit()), reverse=True)  # noqa: PTH208


def links(pid: int, tid: int | None = None) -> Iterator[Open]:
    """Yield executable, cwd and root; nothing for a kernel thread or an ended process.

    PermissionError if the process cannot be read, such as one of another user.
    """
    task = f"{_PROC}/{pid}" if tid is None else f"{_PROC}/{pid}/task/{tid}"
    for kind in LINKS if tid is None else LINKS[1:]:
        path = _read_or_raise(f"{task}/{kind}")
        if path:
            yield Open(pid, tid or pid, kind, path)
        elif kind == "exe":
            return  # a kernel thread, which has the cwd and root of init and holds no mount


def files(pid: int, tid: int | None = None) -> Iterator[Open]:
    """Yield the open files; PermissionError if the process cannot be read."""
    task = f"{_PROC}/{pid}" if tid is None else f"{_PROC}/{pid}/task/{tid}"
    try:
        numbers = os.listdir(f"{task}/fd")  # noqa: PTH208
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return
    for number in numbers:
        path = _read_or_raise(f"{task}/fd/{number}")
        if path:
            yield Open(pid, tid or pid, "fd", path, int(number))


def threads(pid: int) -> list[int]:
    """Return the threads of a process other than its first."""
    try:
        if os.stat(f"{_PROC}/{pid}/task").st_nlink <= 3:  # noqa: PLR2004, PTH116  2, and one for each thread
            return []
        return [tid for name in os.listdir(f"{_PROC}/{pid}/task") if (tid := int(name)) != pid]  # noqa: PTH208
    except OSError:
        return []


def program_of_a_thread(pid: int) -> Open | None:
    """Return the program of a process, read from a thread that is not its first.

    The first thread may end before the others, and then shows nothing. A zombie has no other.
    """
    for tid in threads(pid):
        if path := _readlink(f"{_PROC}/{pid}/task/{tid}/exe"):
            return Open(pid, tid, "exe", path)
    return None


def mapped(
    pids: Sequence[int],
    prefixes: Iterable[str],
    devs: Iterable[str] = (),
    until: float = math.inf,
) -> Iterator[tuple[int, list[Open] | OSError]]:
    """Yield each process with its mapped files with one of these prefixes or on these devices.

    A child process reads them, because the read waits while the memory of the task is locked.
    ``until`` is a deadline (monotonic, seconds).
    """
    # The kernel escapes only a line feed here.
    prefixes = list(prefixes)
    wanted = [os.fsencode(prefix).replace(b"\n", b"\\012") for prefix in prefixes]
    restored = {found: os.fsencode(p) for found, p in zip(wanted, prefixes, strict=True)}
    numbers = [b"%02x:%02x" % tuple(map(int, dev.split(":"))) for dev in devs]
    pids = silent_last(pids)
    left = dict.fromkeys(pids)
    for pid, answer in asker().of_each("mapped", pids, wanted, numbers, until=until):
        del left[pid]
        _silent.discard(pid)
        if isinstance(answer, OSError):
            yield pid, answer
        else:
            yield pid, [_mapping(pid, _restored(name, restored), *how) for name, *how in answer]
    _silent.update([*left][:1])


def silent_last(pids: Iterable[int]) -> list[int]:
    """Return processes in order; one without an answer in the last scan may use up the time."""
    return sorted(pids, key=_silent.__contains__)


def _mapping(pid: int, path: str, dev: bytes, writes: bool, mnt_id: int) -> Open:
    major, minor = (int(part, 16) for part in dev.split(b":"))
    opened = Open(pid, pid, "maps", path, dev=f"{major}:{minor}")
    return replace(opened, writes=writes or None, mnt_id=mnt_id or None)


def _restored(name: bytes, prefixes: dict[bytes, bytes]) -> str:
    for found, prefix in prefixes.items():
        if name.startswith(found):
            return os.fsdecode(prefix + name[len(found) :])
    return os.fsdecode(name)


def mount_id(opened: Open) -> int | None:
    """Return the id of the mount through which a file was opened; None if not known."""
    if opened.kind == "maps":
        return opened.mnt_id
    for line in fdinfo(opened).split("\n"):
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    return None


def writes(opened: Open) -> bool | None:
    """Return whether a file is open for writing; None if not known, or if it is no file."""
    if opened.kind != "fd":
        return opened.writes
    for line in fdinfo(opened).split("\n"):
        name, _, value = line.partition(":")
        if name == "flags":
            flags = int(value, 8)
            return bool(flags & os.O_ACCMODE) and not flags & os.O_PATH
    return None


def fdinfo(opened: Open) -> str:
    """Return the fdinfo of an open file; empty if it is closed."""
    with suppress(OSError):
        return _text(opened.link.replace("/fd/", "/fdinfo/"))
    return ""


def comm(pid: int, tid: int | None = None) -> str | None:
    """Return the name of a task."""
    task = f"{_PROC}/{pid}/task/{tid or pid}/comm"
    with suppress(OSError), open(task, errors="replace") as file:  # noqa: PTH123
        return file.read().rstrip("\n")
    return None


def running(pid: int, tid: int) -> tuple[bool, int | None]:
    """Return whether a task runs or waits for a CPU, and how long it has run, in ns.

    The time is None if the kernel does not count it.
    """
    return looking.running(b"/proc/%d/task/%d" % (pid, tid))


def mntns(pid: int | str) -> int | None:
    """Return the inode number of a process's mount namespace.

    Pins the namespace for about a microsecond, so it is read only of tasks found as holders.
    """
    return namespace(pid, "mnt")


def namespace(pid: int | str, kind: str) -> int | None:
    """Return the inode number of a process's namespace of a kind; None if not known."""
    return inode_of(_readlink(f"{_PROC}/{pid}/ns/{kind}") or "")


def inode_of(name: str) -> int | None:
    """Return the number in a link such as ``mnt:[4026531840]``."""
    number = name[name.find("[") + 1 : -1]
    return int(number) if number.isdigit() else None


def exists(pid: int | str) -> bool:
    """Whether there is such a process."""
    return os.path.isdir(f"{_PROC}/{pid}")  # noqa: PTH112


def at_the_root(task: int | str) -> bool:
    """Whether the root directory of a task is that of its mount namespace, or of this process."""
    return _readlink(f"{_PROC}/{task}/root") == "/"


def is_kernel_thread(pid: int) -> bool:
    """Whether it is a kernel thread, which holds nothing that /proc shows."""
    with suppress(OSError, ValueError, IndexError):
        flags = _text(f"{_PROC}/{pid}/stat").rpartition(")")[2].split()[_FLAGS]
        return bool(int(flags) & PF_KTHREAD)
    return False


def unseen_processes() -> str | None:
    """Return a phrase for the processes that /proc does not list; None if it lists all."""
    if _readlink(f"{_PROC}/self/ns/pid") != f"pid:[{INIT_PID_NS}]":
        return "processes outside this pid namespace"
    if os.geteuid() and _hidepid():
        return "processes of other users (/proc is mounted with hidepid)"
    return None


def _hidepid() -> bool:
    with suppress(OSError):
        lines = (line.split(" ") for line in _text(f"{_PROC}/self/mounts").split("\n")[:-1])
        return any(words[1] == _PROC and "hidepid=" in words[3] for words in lines)
    return False


def readable(name: str) -> str:
    """Return a name as rows have it: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def undeleted(path: str) -> str:
    """Return the path of a link without the suffix for a deleted file."""
    return path.removesuffix(_DELETED)


def _text(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return os.fsdecode(file.read())


def _readlink(link: str) -> str | None:
    with suppress(OSError):
        return os.readlink(link)  # noqa: PTH115
    return None


def _read_or_raise(link: str) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115
    except (FileNotFoundError, ProcessLookupError):
        return None
