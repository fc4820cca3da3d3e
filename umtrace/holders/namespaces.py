"""The mounts of every mount namespace, with a process in it or without.

Opens the mountinfo of other processes for one read each, so it must not be used while tracing.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from umtrace.holders import nsreader, procfs
from umtrace.holders.members import Members, namespace_files
from umtrace.holders.mount_ids import mount_and_dev
from umtrace.holders.mounts import Mount, MountTable
from umtrace.holders.nschild import Unread, read_by_child

_BUDGET_S = 5.0
_MOST_TASKS = 64
#: errors without NS_MNT_GET_NEXT, before Linux 6.12
_NO_LIST = frozenset({errno.ENOTTY, errno.EINVAL})


@dataclass(slots=True)
class Namespace:
    """One namespace, its mounts, and what pins it.

    ``files`` are the mounts of its namespace files, each after the namespace that has the mount.
    ``owner`` is the inode number of the user namespace that owns it; None if it was not read.
    ``ns_file`` is the path of a namespace file for setns(2), as this process sees it; empty if
    there is none.
    """

    inode: int
    table: MountTable
    pids: list[int] = field(default_factory=list)
    threads: list[tuple[int, int]] = field(default_factory=list)
    fds: list[tuple[int, int]] = field(default_factory=list)
    files: list[tuple[int, Mount]] = field(default_factory=list)
    owner: int | None = None
    ns_file: str = ""

    @property
    def orphaned(self) -> bool:
        """Whether no task is in it."""
        return not self.pids and not self.threads


@dataclass(slots=True)
class Namespaces:
    """All namespaces that could be read.

    ``denied`` has the processes without a readable namespace, ``lost`` phrases for what else was
    not read. ``tables`` has open mount tables, which pin a namespace: pid, fd, file. ``outside`` is
    the namespace of this process as seen from its root directory, if this process is in a chroot.
    """

    own: int | None
    all: dict[int, Namespace] = field(default_factory=dict)
    denied: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    tables: list[tuple[int, int, str]] = field(default_factory=list)
    outside: Namespace | None = None

    @classmethod
    def read(cls, budget_s: float = _BUDGET_S) -> Namespaces:
        """Read one table per namespace."""
        found = cls(procfs.mntns("self"))
        _Reading(found, time.monotonic() + budget_s).read()
        return found

    def mounts(self) -> Iterator[tuple[Namespace, Mount]]:
        """Yield every mount with its namespace."""
        for space in self.all.values():
            for mount in space.table.mounts.values():
                yield space, mount
        if self.outside is not None:
            seen = self.own_table.mounts
            for mount in self.outside.table.mounts.values():
                if mount.mnt_id not in seen:
                    yield self.outside, mount

    def lists(self, mnt_id: int | None) -> bool:
        """Whether a mount is in any of these namespaces."""
        spaces = [*self.all.values(), *([self.outside] if self.outside else [])]
        return any(mnt_id in space.table.mounts for space in spaces)

    @property
    def whole_table(self) -> MountTable:
        """All mounts of this namespace, also those outside the root directory of this process."""
        return self.outside.table if self.outside else self.own_table

    @property
    def own_table(self) -> MountTable:
        """The mounts that this process sees."""
        space = self.all.get(self.own or 0)
        return space.table if space else MountTable.of()


class _Reading:
    def __init__(self, spaces: Namespaces, deadline: float) -> None:
        self._spaces = spaces
        self._deadline = deadline
        self._members = Members()

    def read(self) -> None:
        spaces, members = self._spaces, self._members
        listed = self._list()  # first: a namespace made later has a process
        members.find(self._deadline)
        members.pids[spaces.own or 0].insert(0, os.getpid())
        partial = [inode for inode in {**members.pids, **members.threads} if not self._at(inode)]
        wanted = None if listed is None else listed - set(spaces.all)
        if wanted is None or wanted:
            members.find_descriptors(self._deadline)
        self._by_child(partial, wanted)
        self._outside()
        self._attach()
        spaces.denied |= members.denied
        spaces.lost += members.lost
        spaces.tables += members.tables
        if listed is None:
            spaces.lost += [
                f"mounts of the namespace that fd {fd} of pid {pid} pins ({path})"
                for pid, fd, path in members.tables
                if not procfs.exists(path.split("/")[2])
            ]

    def _at(self, inode: int) -> bool:
        """Read the table of a task; return whether it is whole (a task in a chroot sees a part)."""
        tasks = [f"{pid}" for pid in self._members.pids.get(inode, ())]
        tasks += [f"{pid}/task/{tid}" for pid, tid in self._members.threads.get(inode, ())]
        tasks.sort(key=lambda task: not procfs.at_the_root(task))
        own = str(os.getpid())
        for task in tasks[:_MOST_TASKS]:
            try:
                table = MountTable.of("self" if task == own else task)
            except OSError:
                continue
            # The link of a root directory that was unmounted is "/" too; it shows no mounts.
            whole = procfs.at_the_root(task) and "/" in table.points()
            if task == own or whole or inode not in self._spaces.all:
                self._spaces.all[inode] = Namespace(inode, table)
            if task == own or whole:
                return True
        return False

    def _outside(self) -> None:
        """Find a process of this namespace that is not in the chroot of this process."""
        spaces = self._spaces
        ours = _root_of("self")
        for pid in self._members.pids[spaces.own or 0][1:]:
            if procfs.at_the_root(pid) and ours is not None and _root_of(pid) not in {ours, None}:
                with suppress(OSError):
                    table = MountTable.of(pid)
                    if set(table.mounts) > set(spaces.own_table.mounts):
                        ns_file = f"/proc/{pid}/ns/mnt"
                        spaces.outside = Namespace(
                            spaces.own or 0, table, pids=[pid], ns_file=ns_file
                        )
                        return

    def _list(self) -> set[int] | None:
        """Return the other namespaces in the list of the kernel; None without a list."""
        found = set()
        try:
            for namespace in nsreader.namespaces():
                found.add(os.fstat(namespace).st_ino)
        except OSError as error:
            if error.errno not in _NO_LIST:
                name = errno.errorcode.get(error.errno or 0, error.strerror)
                self._spaces.lost.append(f"mount namespaces without a process: not listed ({name})")
            return None
        return found

    def _by_child(self, partial: list[int], wanted: set[int] | None) -> None:
        """Let a child process enter the namespaces for which no task shows the whole table."""
        members, spaces = self._members, self._spaces
        known = set(spaces.all) - set(partial)
        files = [f"/proc/{pid}/ns/mnt" for inode in partial for pid in members.pids[inode][:1]]
        tasks = [members.threads[inode][0] for inode in partial if members.threads[inode]]
        files += [f"/proc/{pid}/task/{tid}/ns/mnt" for pid, tid in tasks]
        if wanted is None:
            files += self._files(known)
        if not files and not wanted:
            return
        follow = wanted is None
        asked = {
            "known": sorted(known),
            "wanted": sorted(wanted or ()),
            "files": files,
            "follow": follow,
        }
        for each in read_by_child(asked, self._deadline):
            if isinstance(each, Unread):
                spaces.lost.append(each.what)
            else:
                spaces.all[each.inode] = Namespace(each.inode, each.table, owner=each.owner)

    def _files(self, known: set[int]) -> list[str]:
        """Return the paths of files of unknown namespaces, as this process sees them."""
        found = [
            f"/proc/{pid}/fd/{fd}"
            for inode, fds in self._members.fds.items()
            for pid, fd in fds[:1]
            if inode not in known
        ]
        tables = {inode: space.table for inode, space in self._spaces.all.items()}
        for inode, places in namespace_files(tables).items():
            for where, mount in places if inode not in known else ():
                if pids := self._members.pids.get(where):
                    found.append(f"/proc/{pids[0]}/root{mount.point}")
        return found

    def _attach(self) -> None:
        tables = {inode: space.table for inode, space in self._spaces.all.items()}
        files, members = namespace_files(tables), self._members
        for inode, space in self._spaces.all.items():
            space.pids = sorted(members.pids.get(inode, ()))
            space.threads = members.threads.get(inode, [])
            space.fds = members.fds.get(inode, [])
            space.files = files.get(inode, [])
            ns_files = [f"/proc/{pid}/ns/mnt" for pid in space.pids[:1]]
            ns_files += [f"/proc/{pid}/task/{tid}/ns/mnt" for pid, tid in space.threads[:1]]
            ns_files += [f"/proc/{pid}/fd/{fd}" for pid, fd in space.fds[:1]]
            ns_files += [m.point for where, m in space.files if where == self._spaces.own]
            space.ns_file = next(iter(ns_files), "")


def _root_of(task: int | str) -> int | None:
    """Return the id of the mount of a task's root directory."""
    with suppress(OSError):
        return mount_and_dev(f"/proc/{task}/root")[0]
    return None
