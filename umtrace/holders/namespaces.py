"""The mounts of every mount namespace that a visible process lives in.

Opens other processes' mountinfo, each for one read: not for use while tracing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount, MountTable


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace, a process in it, and its mounts."""

    inode: int
    pid: int
    table: MountTable


@dataclass(slots=True)
class Namespaces:
    """All that could be read; ``denied`` are the processes whose mounts could not be."""

    own: int | None
    all: dict[int, Namespace] = field(default_factory=dict)
    denied: set[int] = field(default_factory=set)

    @classmethod
    def read(cls) -> Namespaces:
        """Read one table per namespace."""
        found = cls(procfs.mntns("self"))
        for pid in [os.getpid(), *procfs.pids()]:
            inode = procfs.mntns(pid)
            if inode is None:
                found._deny(pid)
            elif inode not in found.all:
                try:
                    found.all[inode] = Namespace(inode, pid, MountTable.of(pid))
                except OSError:
                    found._deny(pid)
        return found

    def _deny(self, pid: int) -> None:
        if os.path.isdir(f"/proc/{pid}") and not procfs.is_kernel_thread(pid):  # noqa: PTH112
            self.denied.add(pid)

    def mounts(self) -> Iterator[tuple[Namespace, Mount]]:
        """Yield every mount with its namespace."""
        for space in self.all.values():
            for mount in space.table.mounts.values():
                yield space, mount

    @property
    def own_table(self) -> MountTable:
        """The mounts that we see ourselves."""
        space = self.all.get(self.own or 0)
        return space.table if space else MountTable.of()
