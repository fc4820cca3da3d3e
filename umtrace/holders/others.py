"""How the mounts of every namespace relate to the one asked about: copies, and other mounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from umtrace.holders import procfs
from umtrace.holders.mounts import Mount, layers
from umtrace.holders.namespaces import Namespaces
from umtrace.records.holders import Holder


class Others:
    """Every mount of one superblock.

    ``of`` has what each of them is, by its id, in the words of `Holder.of`.
    """

    def __init__(self, spaces: Namespaces, mount: Mount | None, dev: str) -> None:
        self._spaces = spaces
        self._mount = mount
        self._dev = dev
        self.of: dict[int, str] = {
            m.mnt_id: "superblock" for _, m in spaces.mounts() if m.dev == dev
        }
        self.of.update(dict.fromkeys(self._copies(), "copy"))
        if mount is not None:
            self.of[mount.mnt_id] = "mount"

    def holders(self) -> Iterator[Holder]:
        """Yield the mounts, and what is mounted on them, that keep it busy."""
        for space, mount in self._spaces.mounts():
            of = self.of.get(mount.mnt_id)
            if of == "superblock":
                yield self._holder("mount", "superblock", space.inode, space.pid, mount)
            for role, path in layers(mount):
                below = space.table.holding(path)
                if below is not None and below.dev == self._dev:
                    holder = self._holder("overlay", "superblock", space.inode, 0, mount)
                    yield replace(holder, detail=f"{role} layer {path} of {mount.point}")
            if of in {"mount", "copy"}:
                for child in space.table.children(mount):
                    if child.mnt_id not in self.of or of == "mount":
                        yield self._holder("submount", of, space.inode, space.pid, child)

    def _copies(self) -> list[int]:
        """Return the ids of the mounts that umount would take along."""
        mount = self._mount
        parent = self._spaces.own_table.parent(mount) if mount else None
        if mount is None or parent is None or parent.peers is None:
            return []
        copies = []
        for space, other in self._spaces.mounts():
            above = space.table.parent(other)
            same = other.dev == mount.dev and other.root == mount.root
            if same and above is not None and parent.peers in {above.peers, above.master}:
                copies.append(other.mnt_id)
        return copies

    def _holder(self, kind: str, of: str, inode: int, pid: int, mount: Mount) -> Holder:
        inside = pid if pid and inode != self._spaces.own else None
        return Holder(
            kind=kind,
            of=of,
            pid=inside,
            comm=procfs.comm(inside) if inside else None,
            detail=mount.point,
            mnt_id=mount.mnt_id,
            mntns=inode,
            match="mount-id",
        )
