"""Kernels that leave the grace period out of a teardown when nobody else holds its mounts.

Elsewhere an umount without a wait is one whose wait was missed, and its row is incomplete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from umtrace.model.plan_line import PlanLine

#: functions of kernels that do: of "fs: unmount without a grace period when nothing else holds
#: the mounts" (October 2026)
MARKS = ("mntput_unmounted",)
_MEANING = "grace period on demand"


def on_demand_lines(functions: Collection[str]) -> list[PlanLine]:
    """Return what the plan says on a kernel with these functions; nothing on all others."""
    plain = {name.partition(".")[0] for name in functions}  # without .isra.0 and the like
    found = [mark for mark in MARKS if mark in plain]
    if not found:
        return []
    reason = "this kernel leaves waits out: a wait of which every event is missing is taken for one"
    return [
        PlanLine(
            meaning=_MEANING, probe=found[0], how="kallsyms", state="substitute", reason=reason
        )
    ]


def waits_always(plan: Iterable[PlanLine]) -> bool:
    """Whether the kernel of a plan waits in every teardown, as far as its functions tell."""
    return all(line.meaning != _MEANING for line in plan)
