"""Which other mounts an umount takes along, and which of those can make it fail.

As propagate_mount_busy() and propagate_umount() in fs/pnode.c have it: at the peers and slaves of
the *parent* mount, and the slaves of those, through any chain of masters and any namespaces, what
is mounted at the same directory goes as well, whatever it is. Its references make the umount fail
if nothing is mounted on it, or one mount that covers it wholly; with any other mount on it, it is
left behind, and what holds it counts for nothing. Tried on 5.10, 6.12, 6.18 and 7 (docs/why.md).
"""

from __future__ import annotations

from umtrace.holders.mounts import Mount, MountTable, inside
from umtrace.holders.namespaces import Namespaces


def copies(spaces: Namespaces, mount: Mount) -> list[tuple[MountTable, Mount]]:
    """Return the mounts that umount of this one asks whether they are busy, and takes along."""
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
    """Return the peer groups that get what is mounted or unmounted in one."""
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
