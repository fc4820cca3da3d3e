"""What the kernel did not deliver, as the programs' maps and the kernel count it."""

from __future__ import annotations

from collections.abc import Mapping

from umtrace.model.kinds import Loss
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import counters

_PUTS = (
    "um_entry_mntput_no_expire",
    "um_entry_mntput",
    "um_entry_dissolve_on_fput",
    "um_entry_path_umount",
)


def puts_skipped(loaded: BpfObject) -> int | None:
    """Return how many puts of references were not seen, an umount's own included."""
    found = [loaded.programs[name] for name in _PUTS if name in loaded.programs]
    counts = [counters(program)[2] for program in found]
    return None if any(count is None for count in counts) else sum(count or 0 for count in counts)


def events_lost(loaded: BpfObject) -> int:
    """Return how many events had no room in the ring."""
    return sum(loaded.per_cpu("losses", Loss.EVENT_RING))


def missed_in(missed: Mapping[str, int] | None, part: str) -> int:
    """Return how many hits the programs with a part of a name in theirs have missed."""
    return sum(n for name, n in (missed or {}).items() if part in name)
