"""The arguments of umount(8), in order, that unmount a mount."""

from __future__ import annotations

from umtrace.holders.mounts import Mount, MountTable

_MOST_STEPS = 16


def steps(table: MountTable, mount: Mount) -> tuple[str, ...]:
    """Return the arguments of umount(8): mounts on it, and mounts that hide it, come first.

    Empty if no path leads to it. A path always means the topmost mount, so the order matters.
    """
    undoing = _Undoing(table)
    if undoing.take(mount):
        return tuple(undoing.done)
    return ("-R", mount.point) if table.at(mount.point) is mount else ()


class _Undoing:
    def __init__(self, table: MountTable) -> None:
        self._table = table
        self._left = table
        self.done: list[str] = []

    def take(self, mount: Mount) -> bool:
        """Add the umounts of a mount, after those of what is in the way; False: impossible."""
        for child in self._table.children(mount):
            if child.mnt_id in self._left.mounts and not self.take(child):
                return False
        while (found := self._left.holding(mount.point)) is not mount:
            if found is None or found.point == "/" or found in self._above(mount):
                return False
            if not self.take(found):
                return False
        if len(self.done) == _MOST_STEPS:
            return False
        self.done.append(mount.point)
        self._left = MountTable(m for m in self._left.mounts.values() if m is not mount)
        return True

    def _above(self, mount: Mount) -> list[Mount]:
        found: list[Mount] = []
        parent = self._table.parent(mount)
        while parent is not None and parent not in found:
            found.append(parent)
            parent = self._table.parent(parent)
        return found
