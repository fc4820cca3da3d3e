"""The origin of an umount_tree, from its caller and from the namespace of the mount."""

from __future__ import annotations

from collections.abc import Callable

from umtrace.model.events import Origin
from umtrace.sources.ftrace.operation import UNKNOWN
from umtrace.sources.ftrace.records import Record

_TOP = UNKNOWN - 4096  # above are error pointers
# The inode number of an anonymous namespace: none until 6.17, then MNT_NS_ANON_INO
# (uapi/linux/nsfs.h).
_ANONYMOUS = (0, 0xEFFFFFF7)


def origin_of(r: Record, origin_at: Callable[[int], Origin | None]) -> Origin | None:
    """Return the origin of an umount_tree; None if it is unknown.

    Two kinds of callers put a namespace: its last user, and the kernel if it made one for its own
    use. The latter is mount_subtree(), for btrfs and NFSv4, with an anonymous namespace, which
    no user puts in this way. Until 6.15 both call drop_collected_mounts(), and so does audit, for
    a copy of a tree that is in no namespace.
    """
    origin = origin_at(r.fields["caller"]) if "caller" in r.fields else None
    if origin != Origin.NS_EXIT:
        return origin
    if "ns" not in r.fields or r.fields["ns"] >= _TOP:
        return None
    internal = r.fields["ns"] <= 0 or r.fields["inum"] in _ANONYMOUS
    return Origin.MOUNT_INTERNAL if internal else origin


def inum_of(r: Record) -> int:
    """Return the namespace of the record's mount; 0 if it has none, or it cannot be read."""
    ns = r.fields.get("ns", 0)
    return int(r.fields["inum"]) if 0 < ns < _TOP else 0
