"""The functions the function tiers probe, and how they are attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """One function: what it means, which sides are probed, what is lost without it."""

    function: str
    meaning: str
    entry: bool
    on_return: bool
    required: bool
    lost: str
    hot: bool = False
    kprobe_entry: bool = False  #: a kretprobe needs the entry too, to keep an argument


PROBES: tuple[Probe, ...] = (
    Probe("path_umount", "umount(2)", True, True, True, ""),
    Probe("umount_tree", "tree", True, False, True, ""),
    Probe("namespace_unlock", "unlock", True, True, True, ""),
    Probe("synchronize_rcu_expedited", "RCU wait", True, True, True, ""),
    Probe("propagate_mount_busy", "busy check", True, True, False, "refcount, lock_ns of EBUSY"),
    Probe("mnt_get_count", "reference count", False, True, False, "refcount", kprobe_entry=True),
    Probe("cleanup_mnt", "final put", True, True, False, "final_put, tail_ns, end of shutdown"),
    Probe(
        "__legitimize_mnt",
        "walker",
        False,
        True,
        False,
        "n_legitimized, n_discounted",
        hot=True,
        kprobe_entry=True,
    ),
    Probe("mntput", "walker's put", True, False, False, "the puts of path walkers", hot=True),
)

PROBE_SETS = ("full", "light", "adaptive")


def wanted(probes: str) -> tuple[Probe, ...]:
    """Return the probes of a set: ``light`` leaves out what a path walk would pay for.

    ``adaptive`` has them all; its hot ones are attached for a while when they are needed.
    """
    return tuple(p for p in PROBES if probes != "light" or not p.hot)


def sides(probe: Probe, *, fentry: bool) -> Sequence[bool]:
    """Return the sides to place a probe on: False its entry, True its return."""
    entry = probe.entry or (probe.kprobe_entry and not fentry)
    return [side for side, wanted in ((False, entry), (True, probe.on_return)) if wanted]
