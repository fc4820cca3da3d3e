"""The other mounts that an umount unmounts too, and which of them can make it fail.

The rules are those of propagate_mount_busy() and propagate_umount() in fs/pnode.c:

1. umount also unmounts what is mounted at the same directory of the peers and slaves of the
   *parent* mount, and of the slaves of those, through any chain of masters, in any namespace.
2. The references of such a copy make the umount fail if nothing is mounted on the copy, or one
   mount that covers it.
3. With any other mount on it, the copy stays mounted, and its references do not matter.

docs/why.md has the table; tests/holders/test_copies.py tests it.
"""

from __future__ import annotations

from umtrace.holders.mounts import Mount, MountTable, inside
from umtrace.holders.namespaces import Namespaces


def copies(spaces: Namespaces, mount: Mount) -> list[tuple[MountTable, Mount]]:
    """Return the copies that umount of this mount checks and unmounts, with their tables."""
    table = spaces.whole_table
    mount = table.mounts.get(mount.mnt_id, mount)
    parent = table.parent(mount)
    if parent is None or parent is mount or parent.peers is None:
        return []
    where = inside(parent, mount.point)
    groups = _downstream(spaces, parent.peers)
    found = []
    for space, place in spaces.mounts():
        if place.mnt_id == parent.mnt_id or not groups & {place.peers, place.master}:
            continue
        found += [
            (space.table, child)
            for child in space.table.children(place)
            if inside(place, child.point) == where and _goes(space.table, child)
        ]
    return found


def _downstream(spaces: Namespaces, group: int) -> set[int | None]:
    """Return the peer groups to which mounts and umounts in a group propagate."""
    slaves: dict[int, set[int]] = {}
    for _, mount in spaces.mounts():
        if mount.master is not None and mount.peers is not None:
            slaves.setdefault(mount.master, set()).add(mount.peers)
    found: set[int | None] = set()
    left = [group]
    while left:
        group = left.pop()
        if group not in found:
            found.add(group)
            left += slaves.get(group, ())
    return found


def _goes(table: MountTable, mount: Mount) -> bool:
    on_it = table.children(mount)
    return not on_it or (len(on_it) == 1 and on_it[0].point == mount.point)
