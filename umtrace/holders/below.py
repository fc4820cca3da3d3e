"""A path that is no mount point: what is used below it, and what is still mounted there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from umtrace.holders.entrance import Entrances
from umtrace.holders.mounts import Mount
from umtrace.holders.namespaces import Namespaces
from umtrace.holders.others import layers_on
from umtrace.holders.procfs import undeleted
from umtrace.records.holders import Holder


@dataclass(frozen=True, slots=True)
class Below:
    """A directory or file, and the mount of our namespace that it lies in."""

    path: str
    mount: Mount
    spaces: Namespaces

    def covers(self, path: str) -> bool:
        """Whether a path is this one or lies below it."""
        plain, top = undeleted(path), self.path.rstrip("/")
        return plain.startswith(top) and plain[len(top) :][:1] in {"", "/"}

    def mounts(self) -> Iterator[Holder]:
        """Yield what is mounted there: below it in our namespace, on it or below it in others.

        And the overlays that have a layer there.
        """
        entrances = Entrances(self.spaces)
        for space, mount in self.spaces.mounts():
            if layers := [
                text for path, text in layers_on(self.mount.dev, space, mount) if self.covers(path)
            ]:
                holder = entrances.holder("overlay", "superblock", space, mount)
                yield replace(holder, detail=f"{', '.join(layers)} of {mount.point}")
            if not self.covers(mount.point):
                continue
            here = space.inode == self.spaces.own and space is not self.spaces.outside
            if here and self.spaces.own_table.at(mount.point) is not mount:
                continue  # hidden by another mount
            kind, of = ("submount", "mount") if here else ("mount", "superblock")
            note = None if here else f"{mount.fstype} {mount.source}, device {mount.dev}"
            yield replace(entrances.holder(kind, of, space, mount), note=note)
