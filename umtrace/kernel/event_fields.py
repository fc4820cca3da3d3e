"""The fields of the kernel's events that are needed; a release may drop one, or rename it."""

from __future__ import annotations

from collections.abc import Collection

#: event -> the fields without which its records cannot be used
NEEDED = {
    "syscalls:sys_enter_umount": ("flags",),
    "syscalls:sys_exit_umount": ("ret",),
    "sched:sched_switch": ("prev_pid", "prev_state", "next_pid"),
    "task:task_newtask": ("pid", "clone_flags"),
    "task:task_rename": ("newcomm",),
    "cgroup:cgroup_mkdir": ("root", "id", "path"),
    "cgroup:cgroup_attach_task": ("pid", "dst_root", "dst_id"),
    "ftrace:kernel_stack": ("size", "caller"),
}


def objection(event: str, fields: Collection[str]) -> str:
    """Return why the records of ``category:name`` cannot be used; empty if they can."""
    absent = [name for name in NEEDED.get(event, ()) if name not in fields]
    if not absent:
        return ""
    plural = "s" if len(absent) > 1 else ""
    return f"the event {event} of this kernel has no field{plural} {', '.join(absent)}"
