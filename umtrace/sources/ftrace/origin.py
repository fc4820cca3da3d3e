"""Whose mounts umount_tree takes down: told by its caller, and by the namespace of the mount."""

from __future__ import annotations

from collections.abc import Callable

from umtrace.model.events import Origin
from umtrace.sources.ftrace.operation import UNKNOWN
from umtrace.sources.ftrace.records import Record

_TOP = UNKNOWN - 4096  # above are error pointers
# The number of one without a file: none until 6.17, then MNT_NS_ANON_INO (uapi/linux/nsfs.h).
_ANONYMOUS = (0, 0xEFFFFFF7)


def origin_of(r: Record, origin_at: Callable[[int], Origin | None]) -> Origin | None:
    """Return who called umount_tree; None where it cannot be told.

    A namespace is put by its last user, and by the kernel where it made one for itself:
    mount_subtree() does for btrfs and NFSv4, in an anonymous one that no user ever puts that way.
    Until 6.15 both call drop_collected_mounts(), as audit does for a copy that is in none.
    """
    origin = origin_at(r.fields["caller"]) if "caller" in r.fields else None
    if origin != Origin.NS_EXIT:
        return origin
    if "ns" not in r.fields or r.fields["ns"] >= _TOP:
        return None
    internal = r.fields["ns"] <= 0 or r.fields["inum"] in _ANONYMOUS
    return Origin.MOUNT_INTERNAL if internal else origin


def inum_of(r: Record) -> int:
    """Return the namespace of the record's mount; 0 where it has none that can be read."""
    ns = r.fields.get("ns", 0)
    return int(r.fields["inum"]) if 0 < ns < _TOP else 0
