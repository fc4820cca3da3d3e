"""What a task that holds namespace_sem does, from the word of a LOCKED event."""

from __future__ import annotations

from typing import Final

from umtrace.model.kinds import LOCKED_BY, ORIGINS

#: number on x86-64 -> name, of the system calls that take namespace_sem for writing
LOCK_CALLS: Final = {
    3: "close",
    56: "clone",
    57: "fork",
    58: "vfork",
    60: "exit",
    82: "rename",
    84: "rmdir",
    87: "unlink",
    155: "pivot_root",
    165: "mount",
    166: "umount",
    231: "exit_group",
    263: "unlinkat",
    264: "renameat",
    272: "unshare",
    308: "setns",
    316: "renameat2",
    428: "open_tree",
    429: "move_mount",
    430: "fsopen",
    432: "fsmount",
    435: "clone3",
    442: "mount_setattr",
    467: "open_tree_attr",
}


def locker_does(word: int) -> str | None:
    """Return the origin of its operation, or the name of its system call; None if unknown.

    Parameters
    ----------
    word : int
        ``ret`` of LOCKED: LOCKED_BY plus an origin, or the number of a system call plus 1.
    """
    if word >= LOCKED_BY:
        origin = word - LOCKED_BY
        return ORIGINS[origin] if origin < len(ORIGINS) else None
    return LOCK_CALLS.get(word - 1, f"syscall {word - 1}") if word > 0 else None
