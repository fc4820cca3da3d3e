"""Samples what the processes of a command keep: files, directories, mappings and namespaces."""

# pathlib is slow: a sample would miss what does not last.
# ruff: noqa: PTH112, PTH115, PTH123, PTH208

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from typing import NamedTuple

#: mappings and threads are many, and do not come and go within a millisecond
SLOW_EVERY = 16
_AT_FDCWD, _STATX_MNT_ID_UNIQUE = -100, 0x4000
_libc = ctypes.CDLL(None, use_errno=True)
_DIRECTORIES = ("cwd", "root", "exe")
_TABLES = ("/mountinfo", "/mounts", "/mountstats")


class Place(NamedTuple):
    """The mount of a file and its devices, as ``st_dev`` and ``st_rdev``.

    ``mount`` is an id that no other mount gets; None before Linux 6.8. Ids in mountinfo and devices
    of file systems without a disk are used again at once.
    """

    mount: int | None
    dev: int
    rdev: int


class Pin(NamedTuple):
    """One thing that a task of the command keeps: the text of its link in /proc, and what it is."""

    comm: str
    kind: str
    text: str
    place: Place


def place(path: str) -> Place:
    """Return where a link of /proc leads to, with one system call."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.statx(_AT_FDCWD, path.encode(), 0, _STATX_MNT_ID_UNIQUE, buffer) != 0:
        raise OSError(ctypes.get_errno(), "statx", path)
    (mask,) = struct.unpack_from("=I", buffer, 0)
    rdev, dev = (os.makedev(*struct.unpack_from("=II", buffer, at)) for at in (128, 136))
    (mount,) = struct.unpack_from("=Q", buffer, 144)
    return Place(mount if mask & _STATX_MNT_ID_UNIQUE else None, dev, rdev)


class Sampler:
    """Collects the pins of a process and of all that it started."""

    def __init__(self) -> None:
        self.pins: set[Pin] = set()
        self.namespaces: set[str] = set()
        self.tables: set[str] = set()  #: mount tables of processes that are not of the command
        self.rounds = 0
        self.seen: set[int] = set()  #: pids
        self._pids: dict[int, str] = {}

    def watch(self, pid: int, until) -> None:
        """Sample the tree of ``pid`` as often as it goes, until ``until()`` is true."""
        self._pids = {pid: "?"}
        while not until():
            slow = self.rounds % SLOW_EVERY == 0
            for each in self._tree():
                with suppress(OSError):
                    self._sample(each, slow=slow)
            self.rounds += 1

    def _tree(self) -> list[int]:
        """Return the processes; one of which the parent has ended stays in it."""
        found = list(self._pids)
        for pid in found:
            for child in self._children(pid):
                if child not in self._pids:
                    self._pids[child] = "?"
                    found.append(child)
            if not os.path.isdir(f"/proc/{pid}"):
                del self._pids[pid]
        return found

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        with suppress(OSError):
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/children", "rb") as file:
                    children += map(int, file.read().split())
        return children

    def _sample(self, pid: int, *, slow: bool) -> None:
        if slow or self._pids.get(pid) == "?":
            with open(f"/proc/{pid}/comm") as file:
                self._pids[pid] = file.read().strip()
                self.seen.add(pid)
        task = f"/proc/{pid}"
        self._links(pid, task, _DIRECTORIES)
        self._links(pid, task, [f"fd/{fd}" for fd in os.listdir(f"{task}/fd")])
        self._spaces(task)
        if slow:
            self._links(pid, task, [f"map_files/{at}" for at in os.listdir(f"{task}/map_files")])
            for tid in os.listdir(f"{task}/task"):
                self._links(pid, f"{task}/task/{tid}", _DIRECTORIES)
                self._spaces(f"{task}/task/{tid}")

    def _links(self, pid: int, task: str, names) -> None:
        for name in names:
            with suppress(OSError):
                text = os.readlink(f"{task}/{name}")
                kind, comm = name.partition("/")[0], self._pids.get(pid, "?")
                self.pins.add(Pin(comm, kind, text, place(f"{task}/{name}")))
                self._table(text)

    def _spaces(self, task: str) -> None:
        for name in os.listdir(f"{task}/ns"):
            with suppress(OSError):
                self.namespaces.add(os.readlink(f"{task}/ns/{name}"))

    def _table(self, text: str) -> None:
        if text.startswith("/proc/") and text.endswith(_TABLES):
            pid = text.split("/")[2]
            if not pid.isdigit() or int(pid) not in self._pids:
                self.tables.add(text)
