"""What is unseen because functions were not traced, or could not be."""

from __future__ import annotations

from collections.abc import Collection

from umtrace.model.events import Kind, Unseen

#: the kinds of event that no ftrace source sends, and what is lost by that; empty if the plan of
#: the functions says so, or if nothing is lost
NOT_SENT: dict[Kind, str] = {
    Kind.SHARED: "",
    Kind.CLEANUPS: "",  # each mount has its events
    Kind.ENDED: "",  # each of its parts has an event
    Kind.LOCKED: "lock_holder_tid, lock_holder_comm, lock_holder_op, lock_held_ns",
    Kind.SPREAD_OVER: "n_mntns, mntns_top",
    Kind.CLAIMED: "claims of whatif",
    Kind.SKIPPED: "",  # made by the reader of the rings of BPF
}
#: what is unseen unless all of these records are traced
_NEEDED = {
    Unseen.RCU: {"um_rcu", "um_unlock"},
    Unseen.CLEANUP: {"um_cleanup"},
    Unseen.CHECK: {"um_check"},
    Unseen.TREE: {"um_tree"},
}


def unseen_of(names: Collection[str]) -> Unseen:
    """Return what is unseen with records of these names."""
    unseen = Unseen(0)
    for what, needed in _NEEDED.items():
        if not needed <= set(names):
            unseen |= what
    return unseen
