"""Mounts of every namespace that are copies of the mount in question, or of its superblock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from umtrace.holders.copies import copies
from umtrace.holders.entrance import Entrances
from umtrace.holders.mounts import Mount, inside, layers
from umtrace.holders.namespaces import Namespace, Namespaces
from umtrace.model.holders import Holder


class Others:
    """The mounts that matter for the answer: ``of`` has the value of `Holder.of` by mount id.

    ``points`` has their mount points, ``devs`` their superblocks.
    """

    def __init__(self, spaces: Namespaces, mount: Mount | None, dev: str) -> None:
        self._spaces = spaces
        self._entrances = Entrances(spaces)
        self._dev = dev
        related = {m.mnt_id: m for _, m in spaces.mounts() if m.dev == dev}
        self.of: dict[int, str] = dict.fromkeys(related, "superblock")
        if mount is not None:
            gone = {copy.mnt_id: copy for _, copy in copies(spaces, mount)}
            related.update(gone)
            self.of.update(dict.fromkeys(gone, "copy"))
            self.of[mount.mnt_id] = "mount"
        self.points = {m.point for m in related.values()}
        self.devs = {dev, *(m.dev for m in related.values())}

    def holders(self) -> Iterator[Holder]:
        """Yield the mounts, submounts and overlays that keep it busy."""
        for space, mount in self._spaces.mounts():
            of = self.of.get(mount.mnt_id)
            if of == "superblock":
                yield self._entrances.holder("mount", of, space, mount)
            if on_it := [text for _, text in layers_on(self._dev, space, mount)]:
                holder = self._entrances.holder("overlay", "superblock", space, mount)
                yield replace(holder, detail=f"{', '.join(on_it)} of {mount.point}")
            yield from self._image(space, mount)
            if of == "mount":
                for child in space.table.children(mount):
                    yield self._entrances.holder("submount", of, space, child)

    def _image(self, space: Namespace, mount: Mount) -> Iterator[Holder]:
        """Yield a mount of an EROFS image without a loop device: it holds the image file."""
        if mount.fstype != "erofs" or not mount.dev.startswith("0:"):
            return
        below = space.table.holding(mount.source)
        if below is not None and below.mnt_id in self.of:
            holder = self._entrances.holder("mount", self.of[below.mnt_id], space, mount)
            yield replace(holder, note=f"its image is {mount.source}")


def layers_on(dev: str, space: Namespace, mount: Mount) -> list[tuple[str, str]]:
    """Return the layers of an overlay on a superblock: the path inside it, and a phrase."""
    below = ((role, path, space.table.holding(path)) for role, path in layers(mount))
    found = [(role, path, on) for role, path, on in below if on and on.dev == dev]
    return [(inside(on, path), f"{role} layer {path}") for role, path, on in found]
