"""Finds the mount that a scan is about, without touching it.

stat(2) or open(2) of the path would walk into the mount and make it busy for a moment.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from dataclasses import dataclass, field

from umtrace.holders.mount_ids import id_in_mountinfo, is_unique
from umtrace.holders.mounts import Mount, MountTable
from umtrace.holders.place import NO_CWD, Place, locate
from umtrace.holders.procfs import readable
from umtrace.model.holders import ScanRequest


@dataclass(slots=True, kw_only=True)
class Target:
    """A request, and what is known of its mount."""

    request: ScanRequest
    point: str  #: absolute path in its own namespace
    mount: Mount | None = None
    table: MountTable | None = None  #: of its namespace; None if it cannot be read
    blind: list[str] = field(default_factory=list)
    placed: bool = True  #: whether ``point`` is where the mount is, as far as can be known

    @property
    def mounted(self) -> bool | None:
        """Whether a mount is there; None if that is not known."""
        if self.mount is None and (self.table is None or self.blind):
            return None
        return self.mount is not None

    @property
    def copies_possible(self) -> bool:
        """Whether other namespaces may have copies that umount would unmount too."""
        parent = self.table.parent(self.mount) if self.table and self.mount else None
        return parent is None or parent.peers is not None

    def covers(self, path: str) -> bool:
        """Whether a path is the mount point or below it; it may still lie in another mount."""
        return path.startswith(self.point) and path[len(self.point) :][:1] in {"", "/"}


def find_target(request: ScanRequest, table: MountTable, own_mntns: int | None) -> Target:
    """Return the target of a request; ``table`` is that of this namespace."""
    place = locate(request)
    if request.mntns not in {None, own_mntns}:
        if not request.path.startswith("/"):
            # The task may have changed its directory since, and no mount table shows that.
            return Target(request=request, point=place.path, blind=[NO_CWD], placed=False)
        why = place.unknown or "the mounts of that namespace"
        return Target(request=request, point=place.path, blind=[why])
    mount, unknown = _find(request, place, table)
    target = Target(request=request, point=mount.point if mount else place.path, table=table)
    target.mount = mount
    if unknown:
        target.blind.append(unknown)
    return target


def _find(request: ScanRequest, place: Place, table: MountTable) -> tuple[Mount | None, str]:
    """Return the mount, by its id or else by path, and a phrase for what is not known."""
    number = request.mount_id or 0  # 0: the probe could not read it
    if is_unique(number):
        with suppress(OSError):  # refused here
            return table.mounts.get(id_in_mountinfo(number) or 0), ""
    elif number:
        mount = table.mounts.get(number)
        # Before 6.8 an id is used again at once: the name must be right as well.
        if mount is None or posixpath.basename(mount.point) == posixpath.basename(place.path):
            return mount, ""
    return _at(place, table)


def _at(place: Place, table: MountTable) -> tuple[Mount | None, str]:
    for resolve in (False, True):
        tried = place.resolved(table) if resolve else place
        if unknown := tried.in_doubt(table):
            return None, unknown
        if mount := table.at(tried.path):
            return mount, ""
    return _escaped(place.path, table), ""


def _escaped(path: str, table: MountTable) -> Mount | None:
    """Return the only mount that has this path if bytes that are not UTF-8 are escaped."""
    points = [point for point in table.points() if readable(point) == path != point]
    return table.at(points[0]) if len(points) == 1 else None
