"""Counting the references to a mount, which has one counter for each CPU.

A program adds them up in a loop, and the verifier follows every turn of it. So there is a bound on
the CPUs. With that bound every program is loaded on the kernels of the lab (scripts/load-check).
"""

from __future__ import annotations

from umtrace.model.plan_line import PlanLine

MOST_CPUS = 1024  #: beyond it nothing is counted
REFERENCES = "references"  #: meaning of the line that says so
LISTS = "long lists"  #: meaning of the line that says how far mounts are counted
_SHORT = "n_mounts beyond 8,192 mounts, n_mntns beyond 256 (the kernel has no bpf_loop, 5.17)"


def counting_constants(offsets_at: int | None, cpus: int) -> dict[str, int | str]:
    """Return the -D constants that let programs count; none where they cannot.

    Parameters
    ----------
    offsets_at : int or None
        Address of ``__per_cpu_offset``.
    cpus : int
        How many CPU numbers there are.
    """
    if not offsets_at or not 0 < cpus <= MOST_CPUS:
        return {}
    return {"UM_ADDR_PER_CPU_OFFSET": f"{offsets_at:#x}ULL", "UM_CPUS": cpus}


def counting_lines(cpus: int, *, long_loops: bool) -> list[PlanLine]:
    """Return what the plan says where the CPUs or the mounts are too many."""
    lines = [] if long_loops else [PlanLine(meaning=LISTS, state="lost", reason=_SHORT)]
    if cpus <= MOST_CPUS:
        return lines
    lost = "the references that are left after an EBUSY, and so which EBUSYs were spurious"
    why = f"{cpus} possible CPUs, counted up to {MOST_CPUS}"
    return [*lines, PlanLine(meaning=REFERENCES, state="lost", reason=f"{lost} ({why})")]
