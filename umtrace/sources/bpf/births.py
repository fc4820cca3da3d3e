"""Attaches the probes on births and deaths of cgroups, where the kernel has them."""

from __future__ import annotations

from umtrace.kernel.event_fields import objection
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import UmtraceError
from umtrace.model.plan_line import PlanLine
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import ProgramType

_BORN, _GONE = "cgroup:cgroup_mkdir", "cgroup:cgroup_rmdir"
_MEANING = "births of cgroups"


def birth_constants(tracefs: Tracefs) -> dict[str, int]:
    """Return the offsets of the fields of ``cgroup:cgroup_mkdir``; none where it lacks one."""
    try:
        fields = tracefs.field_offsets(_BORN)
    except UmtraceError:  # `attach_births` says so in the plan
        return {}
    if objection(_BORN, fields):
        return {}
    return {f"UM_AT_CGROUP_{name.upper()}": fields[name] for name in ("root", "id", "path")}


def attach_births(loaded: BpfObject, tracefs: Tracefs) -> PlanLine:
    """Attach both probes and return the line of the plan; a kernel without them loses owners."""
    try:
        fields = tracefs.field_offsets(_BORN)
        why = objection(_BORN, fields)
        if not why:
            for event, program in ((_BORN, "um_cgroup_mkdir"), (_GONE, "um_cgroup_rmdir")):
                loaded.attach_event(tracefs.event_id(event), program, ProgramType.TRACEPOINT)
            return PlanLine(meaning=_MEANING, probe=f"{_BORN}, cgroup_rmdir", how="tracepoint")
    except UmtraceError as error:
        why = str(error)
    lost = f"owners whose cgroups are gone ({why})"
    return PlanLine(meaning=_MEANING, probe=_BORN, state="lost", reason=lost)
