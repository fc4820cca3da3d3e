"""What each tier cannot see, with the reason. Whatever is in here must really be unseen.

Keys are those of ``ledger.Entry.key``: a kind of umount, or a kind and its origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.oracle.ledger import Entry

_BIT32 = "the syscalls:* tracepoints leave out what 32-bit programs call (docs/probes.md)"
_NO_CALL = "no system call umount: only umount_tree shows it (docs/probes.md)"
_NO_EXIT = "a namespace that goes without its last task's death: only dying tasks are looked at"
_TRACEPOINTS = {
    **dict.fromkeys(("umount-32", "lazy-32", "oldumount-32"), _BIT32),
    **dict.fromkeys(
        ("tree-closed/fd-close", "mount-fails/failed-mount", "removed/detach-on-unlink"), _NO_CALL
    ),
}
_ENDS_ALIVE = dict.fromkeys(("ns-setns/ns-exit", "ns-close/ns-exit", "ns-umount/ns-exit"), _NO_EXIT)
#: seen only where the task sleeps in it
_ASLEEP = "recognised by the stack of the dying task, if it sleeps while it takes the mounts down"
_NO_MEMORY = "tracepoints read no struct mount"


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier is excused from.

    Attributes
    ----------
    unseen : mapping
        Kinds without a row.
    sometimes : mapping
        Origins that have a row or none.
    unknown : mapping
        Columns that may be null.
    partly : mapping
        Kinds of which the named columns are null.
    longest_path : int
        Bytes from which on a path may be null or cut.
    dotted : str
        Why a path may have dots in place of control characters; empty if it must not.
    """

    unseen: Mapping[str, str] = field(default_factory=dict)
    sometimes: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    partly: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    longest_path: int = 4096
    dotted: str = ""


_BLIND = dict.fromkeys(("fstype", "n_mounts", "final_put"), _NO_MEMORY)

_OLD = {"oldumount-32": (("path",), "no probe at oldumount(2): the row begins at path_umount")}

_LEFT_OUT = "its probe is left out with --probes light (docs/probes.md)"
_LIGHT = Tier(
    {"ns-umount/ns-exit": "it ends inside the task work of an umount, which has the one row"},
    unknown={"final_put": _LEFT_OUT},
    partly={"oldumount-32": (("path", "flags", "mode"), "seen as a teardown by umount_tree alone")},
)
LIGHT = "-light"  #: after the name of a tier: with --probes light

#: a tier that is not in it is excused from nothing
TIERS = {
    "fentry-light": _LIGHT,
    "kprobe-light": _LIGHT,
    "fentry": Tier(partly=_OLD),
    "kprobe": Tier(partly=_OLD),
    # A path of about 4,095 bytes does not fit into a page of the trace buffer (docs/ftrace.md).
    "ftrace": Tier(partly=_OLD, longest_path=4000),
    "tracepoint": Tier(_TRACEPOINTS, {"ns-exit": _ASLEEP}, _BLIND),
    "ftrace-static": Tier(
        {**_TRACEPOINTS, **_ENDS_ALIVE},
        {"ns-exit": _ASLEEP},
        {**_BLIND, "path": "a pointer before 7.0, then 165 bytes of text at most (docs/ftrace.md)"},
        dotted="the kernel writes a dot for what it calls unprintable",
    ),
}


def excused(tier: str, entry: Entry) -> str:
    """Return why a tier has no row of this; empty if it must have one."""
    return of(tier).unseen.get(entry.key, "")


def of(tier: str) -> Tier:
    """Return what a tier is excused from."""
    return TIERS.get(tier) or Tier()
