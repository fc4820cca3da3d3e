"""A path that is no mount point: its users, and the mounts on it or below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from umtrace.holders.entrance import Entrances
from umtrace.holders.mounts import Mount, inside
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.holders.others import layers_on
from umtrace.holders.procfs import undeleted
from umtrace.model.holders import Holder

_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Below:
    """A directory or file, and the mount that it lies in, of the mount namespace of umtrace."""

    path: str
    mount: Mount
    spaces: Namespaces

    def covers(self, path: str) -> bool:
        """Whether a path is this one or lies below it."""
        plain, top = undeleted(path), self.path.rstrip("/")
        return plain.startswith(top) and plain[len(top) :][:1] in {"", "/"}

    def mounts(self) -> Iterator[Holder]:
        """Yield the mounts below it in this namespace, on it or below it in others.

        It also yields the overlays that have a layer there.
        """
        entrances = Entrances(self.spaces)
        for space, mount in self.spaces.mounts():
            on_it = layers_on(self.mount.dev, space, mount)
            if layers := [text for path, text in on_it if self._has(path)]:
                holder = entrances.holder("overlay", "superblock", space, mount)
                yield replace(holder, detail=f"{', '.join(layers)} of {mount.point}")
            here = space.inode == self.spaces.own and space is not self.spaces.outside
            if not (self._shows(mount) if here else self._carries(space, mount)):
                continue
            kind, of = ("submount", "mount") if here else ("mount", "superblock")
            note = None if here else f"{mount.fstype} {mount.source}, device {mount.dev}"
            yield replace(entrances.holder(kind, of, space, mount), note=note)

    def _shows(self, mount: Mount) -> bool:
        """Whether a mount of this namespace is there, and not hidden by another."""
        return self.covers(mount.point) and self.spaces.own_table.at(mount.point) is mount

    def _carries(self, space: Namespace, mount: Mount) -> bool:
        """Whether a mount of another namespace is on the directory, under any path."""
        below: Mount | None = mount
        for _ in range(_DEEPEST):
            parent = space.table.parent(below) if below is not None else None
            if below is None or parent is None or parent is below:
                return False
            if parent.dev == self.mount.dev and self._has(inside(parent, below.point)):
                return True
            below = parent
        return False

    def _has(self, path: str) -> bool:
        """Whether a path inside the file system is this directory or below it."""
        top = inside(self.mount, self.path).rstrip("/")
        return path.startswith(top) and path[len(top) :][:1] in {"", "/"}
