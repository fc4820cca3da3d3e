"""Counting the references to a mount, which has one counter for each CPU.

A program adds them up in a loop, and the verifier follows every turn of it. So there is a bound on
the CPUs. With that bound every program is loaded on the kernels of the lab (scripts/load-check).
"""

from __future__ import annotations

from umtrace.model.plan_line import PlanLine

MOST_CPUS = 1024  #: beyond it nothing is counted
REFERENCES = "references"  #: meaning of the line that says so


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


def counting_lines(cpus: int) -> list[PlanLine]:
    """Return what the plan says where the CPUs are too many."""
    if cpus <= MOST_CPUS:
        return []
    lost = "the references that are left after an EBUSY, and so which EBUSYs were spurious"
    why = f"{cpus} possible CPUs, counted up to {MOST_CPUS}"
    return [PlanLine(meaning=REFERENCES, state="lost", reason=f"{lost} ({why})")]
