"""How to enter a mount namespace, and what pins it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace

from umtrace.holders import nsreader, procfs
from umtrace.holders.asker import asker
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.undoing import steps
from umtrace.model.holders import Holder

#: the folders of umount(8), in the usual order of PATH
_PLACES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")


class Entrances:
    """Adds to holders in other namespaces what pins the namespace, and how to enter it."""

    def __init__(self, spaces: Namespaces) -> None:
        self._spaces = spaces
        self._with_umount: dict[int, bool] = {}

    def holder(self, kind: str, of: str, space: Namespace, mount: Mount) -> Holder:
        """Return a mount as a holder, with the umounts that remove it."""
        holder = Holder(
            kind=kind,
            of=of,
            detail=mount.point,
            mnt_id=mount.mnt_id,
            mntns=space.inode,
            match="mount-id",
            unmount=steps(space.table, mount),
        )
        return self.through(holder, space)

    def through(self, holder: Holder, space: Namespace) -> Holder:
        """Return a holder with what is known of its namespace."""
        if space.inode == self._spaces.own and space is not self._spaces.outside:
            return holder
        if space.orphaned and space.files and not space.fds:
            return self._by_file(holder, space)
        holder = self._by_task(holder, space)
        if self._locked(space):
            return replace(holder, unmount=None, tasks=tuple(space.pids) or None)
        if holder.unmount and space.pids and not self._has_umount(space):
            # umount -N runs the program of this namespace in the other one.
            outside = ("-N", f"{space.pids[0]}", *holder.unmount)
            return replace(holder, enter=None, unmount=outside)
        return holder

    def _by_task(self, holder: Holder, space: Namespace) -> Holder:
        if space.pids:
            pid = next((p for p in space.pids if not procfs.is_kernel_thread(p)), None)
            if pid is None:  # a kernel thread cannot be ended
                who = f"kernel threads, such as {_name(space.pids[0])}"
                return replace(holder, keeper=who, enter=("-t", f"{space.pids[0]}", "-m"))
            more = len(space.pids) - 1
            who = f"{_name(pid)} and {more} more" if more else _name(pid)
            found = replace(holder, keeper=who, enter=("-t", f"{pid}", "-m"))
            return replace(found, pid=pid, comm=procfs.comm(pid))
        if space.threads:
            pid, tid = space.threads[0]
            who = f"thread {tid} of {_name(pid)}"
            found = replace(holder, keeper=who, enter=("-t", f"{tid}", "-m"))
            return replace(found, pid=pid, tid=tid, comm=procfs.comm(pid, tid))
        if space.fds:
            pid, fd = space.fds[0]
            names = [f"fd {fd} of {_name(pid)}" for pid, fd in space.fds]
            who = " and ".join([*names, *(self._file(*each) for each in space.files)])
            found = replace(holder, keeper=who, enter=(f"--mount=/proc/{pid}/fd/{fd}",))
            return replace(found, pid=pid, fd=fd, comm=procfs.comm(pid))
        return self._by_table(holder)

    def _by_table(self, holder: Holder) -> Holder:
        """Name the open mount tables that may pin a namespace that nothing else pins."""
        gone = [
            (pid, fd)
            for pid, fd, path in self._spaces.tables
            if procfs.mntns(path.split("/")[2]) is None
        ]
        names = [f"fd {fd} of {_name(pid)}, a mount table" for pid, fd in gone]
        found = replace(holder, keeper=" or ".join(names) or "nothing that can be seen")
        if len(gone) != 1:
            return replace(found, unmount=None)
        pid, fd = gone[0]
        return replace(found, pid=pid, fd=fd, comm=procfs.comm(pid), unmount=None)

    def _by_file(self, holder: Holder, space: Namespace) -> Holder:
        """Name the namespace files; if one namespace has them all, their umount ends it."""
        found = replace(holder, keeper=" and ".join(self._file(*each) for each in space.files))
        homes = {where for where, _ in space.files}
        home = self._spaces.all.get(homes.pop())
        if homes or home is None:
            return replace(found, enter=self._into(space, set()))
        gone = [step for _, file in space.files for step in steps(home.table, file)]
        return replace(found, enter=self._into(home, {space.inode}), unmount=tuple(gone))

    def _file(self, inode: int, file: Mount) -> str:
        where = "" if inode == self._spaces.own else f" in mount namespace {inode}"
        return f"file {file.point}{where}"

    def _into(self, space: Namespace, tried: set[int]) -> tuple[str, ...] | None:
        """Return the arguments of nsenter; None for this namespace, or if there is no way."""
        if space.inode == self._spaces.own:
            return None
        if space.pids:
            return ("-t", f"{space.pids[0]}", "-m")
        if space.threads:
            return ("-t", f"{space.threads[0][1]}", "-m")
        if space.fds:
            pid, fd = space.fds[0]
            return (f"--mount=/proc/{pid}/fd/{fd}",)
        for where, file in space.files:
            home = self._spaces.all.get(where)
            if home is None or where in tried:
                continue
            outer = self._into(home, tried | {space.inode})
            nested = ("nsenter", f"--mount={file.point}")
            return (f"--mount={file.point}",) if outer is None else (*outer, *nested)
        return None

    def _has_umount(self, space: Namespace) -> bool:
        """Whether nsenter(1) finds umount(8) there."""
        if space.inode not in self._with_umount:
            self._with_umount[space.inode] = any(
                _is_there(f"/proc/{space.pids[0]}/root{place}/umount") for place in _PLACES
            )
        return self._with_umount[space.inode]

    def _locked(self, space: Namespace) -> bool:
        """Whether its first mounts are locked, because another user namespace owns it."""
        own = self._spaces.all.get(self._spaces.own or 0)
        ours = self._owner_of(own) if own else None
        theirs = self._owner_of(space)
        return None not in {ours, theirs} and ours != theirs

    def _owner_of(self, space: Namespace) -> int | None:
        if space.owner is None:
            tasks = [f"{pid}" for pid in space.pids[:1]]
            tasks += [f"{pid}/task/{tid}" for pid, tid in space.threads[:1]]
            space.owner = next((self._owner(task) for task in tasks), None)
        return space.owner

    def _owner(self, task: str) -> int | None:
        with suppress(OSError):
            number = os.open(f"/proc/{task}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return nsreader.owner(number)
            finally:
                os.close(number)
        return None


def _is_there(path: str) -> bool:
    """Whether there is such a file or link; False if its file system does not answer."""
    try:
        asker().ask("link", os.fsencode(path))
    except OSError as error:
        return error.errno == errno.EINVAL  # no link
    return True


def _name(pid: int) -> str:
    return f"{procfs.comm(pid) or '?'} (pid {pid})"
