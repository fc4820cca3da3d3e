"""Which processes probably hold a mount: those that did before, and those near the umounter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from umtrace.holders import procfs
from umtrace.holders.mounts import MountTable
from umtrace.model.holders import HolderScan, ScanRequest

_MOST_MEMBERS = 256  # of a cgroup
_MOST_BYTES = 1 << 13
_MOST_BEFORE = 64


class Before:
    """The processes that were found as holders, the last first; one thread adds, any reads."""

    def __init__(self) -> None:
        self._pids: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[int]:
        return iter(self._pids)

    def add(self, scans: Iterable[HolderScan]) -> None:
        """Take the holders of some scans."""
        found = [holder.pid for scan in scans for holder in scan.holders if holder.pid is not None]
        self._pids = tuple(dict.fromkeys([*found, *self._pids]))[:_MOST_BEFORE]


def likely(
    requests: Sequence[ScanRequest], before: Iterable[int], table: MountTable
) -> tuple[int, ...]:
    """Return who is read first: holders of before, then the umounters' cgroups and sessions.

    A process outside this pid namespace, or one that has ended, has neither.
    """
    found, root = dict.fromkeys(before), _cgroups(requests, table)
    for pid in {request.pid for request in requests if request.pid is not None}:
        found[pid] = None
        found |= dict.fromkeys(_of_its_cgroup(pid, root) if root else ())
        found |= dict.fromkeys(_of_its_session(pid))
    return tuple(found)


def _cgroups(requests: Sequence[ScanRequest], table: MountTable) -> str:
    """Return where the cgroups are; empty if that is nowhere, or on a mount that is busy."""
    root = next((m.point for m in table.mounts.values() if m.fstype == "cgroup2"), "")
    busy = [request.path.rstrip("/") for request in requests]
    return "" if any(f"{root}/".startswith(f"{path}/") for path in busy) else root


def _of_its_cgroup(pid: int, root: str) -> list[int]:
    with suppress(OSError, ValueError):
        paths = [line[3:] for line in _beginning(f"/proc/{pid}/cgroup") if line.startswith("0::/")]
        path = "".join(paths)
        if path in {"", "/"} or "/../" in f"{path}/":  # too many members; outside our namespace
            return []
        numbers = _beginning(f"{root}{path}/cgroup.procs")[:_MOST_MEMBERS]
        return [int(number) for number in numbers if number.isdigit()]
    return []


def _of_its_session(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        session = os.getsid(pid)
        for each in procfs.pids():
            with suppress(OSError):
                if os.getsid(each) == session:
                    found.append(each)
    return found


def _beginning(path: str) -> list[str]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.fsdecode(os.read(file, _MOST_BYTES)).split("\n")
    finally:
        os.close(file)
