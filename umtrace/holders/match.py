"""Decides whether something open keeps a target busy, and by which match."""

from __future__ import annotations

from umtrace.holders import procfs
from umtrace.holders.procfs import Open
from umtrace.holders.target import Target
from umtrace.model.holders import Holder, ScanRequest


def holder_of(
    opened: Open, *, of: str, match: str, mnt_id: int | None, mntns: int | None
) -> Holder:
    """Return the task that has something open as a holder; for the parameters see `Holder`."""
    return Holder(
        kind=opened.kind,
        of=of,
        pid=opened.pid,
        tid=opened.tid,
        comm=procfs.comm(opened.pid, opened.tid),
        fd=opened.fd,
        detail=opened.path,
        mnt_id=mnt_id,
        mntns=mntns,
        match=match,
        writes=procfs.writes(opened) or None,
    )


class Matcher:
    """Compares what processes have open with the targets; reads more only for matches."""

    def __init__(self, targets: list[Target], own_mntns: int | None) -> None:
        self._targets = targets
        self._own = own_mntns
        self._namespaces: dict[str, int | None] = {}

    def holders(self, opened: Open) -> list[tuple[Target, Holder]]:
        """Return the targets that this keeps busy; most often none."""
        if opened.kind == "socket":
            asked = ((t, self._bound(t, opened)) for t in self._targets)
            return [(t, holder) for t, holder in asked if holder is not None]
        path = procfs.undeleted(opened.path)
        if not path.startswith("/"):
            return []
        named = (target for target in self._targets if target.covers(path))
        return [(t, h) for t in named if (h := self._holder(t, opened, path)) is not None]

    def _holder(self, target: Target, opened: Open, path: str) -> Holder | None:
        if target.table is None:
            return self._by_namespace(target.request, opened)
        if target.mount is None:
            return None
        if opened.kind == "fd" or opened.mnt_id is not None:
            return self._by_id(target, opened)
        if self._namespace(opened.task) != self._own:
            return self._copy(target, opened)
        inside = target.table.holding(path) is target.mount
        return self._found(opened, "mount", "path") if inside else None

    def _by_namespace(self, request: ScanRequest, opened: Open) -> Holder | None:
        """Compare namespaces: of mounts in others, nothing but the path is known."""
        mntns = self._namespace(opened.task)
        if mntns == request.mntns:
            return self._found(opened, "mount", "path+namespace")
        if mntns is not None and mntns == request.copy_mntns:
            return self._found(opened, "copy", "path+namespace")
        return None

    def _bound(self, target: Target, opened: Open) -> Holder | None:
        """Compare the superblock of a socket's file; its name may be relative or have links."""
        mount, table, named = target.mount, target.table, opened.path.startswith("/")
        if table is None or mount is None or opened.dev is None:
            covered = named and target.covers(opened.path)
            return self._holder(target, opened, opened.path) if covered else None
        if opened.dev != mount.dev:
            return None
        if self._namespace(opened.task) != self._own:
            return self._copy(target, opened)
        through = table.holding(opened.path)
        if through is None or through.dev != mount.dev:
            same = [m for m in table.mounts.values() if m.dev == mount.dev]
            if len(same) > 1:
                target.blind.append(f"through which mount pid {opened.pid} bound {opened.path}")
                return None
            through = mount
        return self._found(opened, "mount", "dev") if through is mount else None

    def _by_id(self, target: Target, opened: Open) -> Holder | None:
        number = procfs.mount_id(opened)
        if target.mount is not None and number == target.mount.mnt_id:
            return self._found(opened, "mount", "mount-id", number)
        if number is None or (target.table and number in target.table.mounts):
            return None  # on a mount below the target, or on one that the target covers
        if self._namespace(opened.task) == self._own:
            return None  # through a mount that is in no namespace
        return self._copy(target, opened, number)

    def _copy(self, target: Target, opened: Open, number: int | None = None) -> Holder | None:
        if not target.copies_possible:
            return None
        return self._found(opened, "copy", "path", number)

    def _found(self, opened: Open, of: str, match: str, number: int | None = None) -> Holder:
        mntns = self._namespace(opened.task)
        return holder_of(opened, of=of, match=match, mnt_id=number, mntns=mntns)

    def _namespace(self, task: str) -> int | None:
        if task not in self._namespaces:
            self._namespaces[task] = procfs.mntns(task)
        return self._namespaces[task]
