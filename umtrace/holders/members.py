"""What pins each mount namespace: processes and threads in it, descriptors and files of it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount, MountTable

_OF_A_NAMESPACE = "mnt:["
#: an open mount table pins its namespace too (proc_mounts_open in fs/proc_namespace.c)
_TABLES = ("/mountinfo", "/mounts", "/mountstats")


@dataclass(slots=True)
class Members:
    """What pins each namespace, by its inode number; ``denied`` has the unreadable pids."""

    pids: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    threads: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    fds: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    tables: list[tuple[int, int, str]] = field(default_factory=list)  #: pid, fd, file
    denied: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)

    def find(self, deadline: float) -> None:
        """Read the namespace of every process and thread; ``deadline`` is monotonic, in seconds."""
        pids = procfs.pids()
        for number, pid in enumerate(pids):
            if time.monotonic() > deadline:
                self.lost.append(
                    f"mount namespaces of {len(pids) - number} processes (out of time)"
                )
                return
            first = self._of_a_process(pid)
            for tid in procfs.threads(pid):
                inode = procfs.mntns(f"{pid}/task/{tid}")
                if inode is not None and inode != first:
                    self.threads[inode].append((pid, tid))

    def find_descriptors(self, deadline: float) -> None:
        """Find open namespace files and open mount tables, until ``deadline``."""
        pids = procfs.pids()
        for number, pid in enumerate(pids):
            if time.monotonic() > deadline:
                left = len(pids) - number
                self.lost.append(f"namespaces that {left} processes have open (out of time)")
                return
            try:
                self._open_in(pid)
            except OSError:  # denied, which the sweep reports, or gone
                continue

    def _of_a_process(self, pid: int) -> int | None:
        try:
            inode = procfs.inode_of(os.readlink(f"/proc/{pid}/ns/mnt"))  # noqa: PTH115
        except PermissionError:
            if not procfs.is_kernel_thread(pid):
                self.denied.add(pid)
            return None
        except OSError:  # gone, or a zombie, which is in no namespace
            return None
        if inode is not None:
            self.pids[inode].append(pid)
        return inode

    def _open_in(self, pid: int) -> None:
        for opened in procfs.files(pid):
            if opened.path.startswith(_OF_A_NAMESPACE):
                inode = procfs.inode_of(opened.path)
                if inode is not None:
                    self.fds[inode].append((pid, opened.fd or 0))
            elif opened.path.startswith("/proc/") and opened.path.endswith(_TABLES):
                self.tables.append((pid, opened.fd or 0, opened.path))


def namespace_files(tables: Mapping[int, MountTable]) -> dict[int, list[tuple[int, Mount]]]:
    """Return the namespace files by namespace: where each is mounted, and its mount."""
    found: dict[int, list[tuple[int, Mount]]] = defaultdict(list)
    for where, table in tables.items():
        for mount in _bound(table.mounts.values()):
            inode = procfs.inode_of(mount.root)
            if inode is not None:
                found[inode].append((where, mount))
    return found


def _bound(mounts: Iterable[Mount]) -> Iterable[Mount]:
    return (m for m in mounts if m.fstype == "nsfs" and m.root.startswith(_OF_A_NAMESPACE))
