"""Names that tell whose an instance or a group of events is, also after a crash.

A process id alone is reused; with the start time of the process it is unique until
reboot.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MARK = re.compile(r"^umtrace(?:-|_ft_)(\d+)[-_](\d+)(?:-gated)?$")


def instance_name(*, gated: bool = False) -> str:
    """Return the name of this process's trace instance; it may have a second, a gated one."""
    return f"umtrace-{os.getpid()}-{_started(os.getpid())}{'-gated' if gated else ''}"


def group_name() -> str:
    """Return the name of this process's group of dynamic events."""
    return f"umtrace_ft_{os.getpid()}_{_started(os.getpid())}"


def is_orphan(name: str) -> bool:
    """Whether the name is one of umtrace's and the process that made it is gone."""
    mark = _MARK.match(name)
    return mark is not None and _started(int(mark[1])) != int(mark[2])


def _started(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; -1 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return -1
    return int(text.rpartition(")")[2].split()[19])
