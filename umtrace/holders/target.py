"""The mount that holders are looked for, found without touching it.

stat(2) of the path, or open, would walk into the mount and make it busy for a moment.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount, MountTable
from umtrace.records.holders import ScanRequest


@dataclass(slots=True, kw_only=True)
class Target:
    """A request, and what is known of its mount."""

    request: ScanRequest
    point: str  #: absolute, as seen in its own namespace
    mount: Mount | None = None
    table: MountTable | None = None  #: of its namespace; None: cannot be looked into
    stacked: bool = False  #: other mounts lie under it at the same place
    blind: list[str] = field(default_factory=list)

    @property
    def copies_possible(self) -> bool:
        """Whether other namespaces may have copies that umount would take along."""
        parent = self.table.parent(self.mount) if self.table and self.mount else None
        return parent is None or parent.peers is not None

    def covers(self, path: str) -> bool:
        """Whether a path has the mount point's name; it may still lie in another mount."""
        return path.startswith(self.point) and path[len(self.point) :][:1] in {"", "/"}


def find_target(request: ScanRequest, table: MountTable, own_mntns: int | None) -> Target:
    """Return the target of a request; ``table`` is that of our own namespace."""
    path, why = absolute(request)
    if request.mntns not in {None, own_mntns}:
        why = why or "the mounts of that namespace"
        return Target(request=request, point=path, blind=[why])
    mount = table.at(path) or table.at(_parent_resolved(path))
    target = Target(request=request, point=mount.point if mount else path, mount=mount, table=table)
    target.stacked = table.stacked(target.point) > 1
    if why:
        target.blind.append(why)
    return target


def absolute(request: ScanRequest) -> tuple[str, str]:
    """Return the path from the root of the umounter, and what is not known of it."""
    path = request.path
    if path.startswith("/"):
        return _tidy(path), ""
    where = next((o.path for o in _links(request.pid) if o.kind == "cwd"), None)
    if where is None:
        return _tidy(path), "the directory that the path is relative to"
    return _tidy(posixpath.join(where, path)), ""


def _links(pid: int | None) -> list[procfs.Open]:
    try:
        return list(procfs.links(pid)) if pid else []
    except OSError:
        return []


def _tidy(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path


def _parent_resolved(path: str) -> str:
    # Only the directories above: the last component is the mount itself.
    directory, name = posixpath.split(path)
    return posixpath.join(os.path.realpath(directory), name) if directory else path
