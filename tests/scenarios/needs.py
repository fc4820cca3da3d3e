"""What the EBUSY scenarios need of a host, looked at before the first one runs."""

from __future__ import annotations

import os
from pathlib import Path

from umtrace.exercise.loopback import find_mkfs, free_loop_device
from umtrace.model.errors import UmtraceError


def check_needs() -> None:
    """Raise UmtraceError, which says what to do, where a scenario cannot run here."""
    if os.geteuid():
        raise UmtraceError("it mounts: run it as root")
    for fstype in ("overlay", "ext4"):
        if fstype not in Path("/proc/filesystems").read_text().split():
            raise UmtraceError(f"no {fstype} file system here: modprobe {fstype}")
    find_mkfs("ext4")
    free_loop_device()
