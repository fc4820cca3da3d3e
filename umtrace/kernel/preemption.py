"""Whether the kernel preempts a task that runs kernel code.

While a fentry program is preempted, the kernel skips the same program for every other task on that
CPU, and counts it (``recursion_misses``, since 5.12, 9ed9e9ba2337). Kprobes run with preemption
off.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_PREEMPTING: Final = {"full", "lazy"}
_MODE = Path("/sys/kernel/debug/sched/preempt")  # since 5.13
_CHOSEN = re.compile(r"\((\w+)\)")


def preemptible() -> bool:
    """Return whether this kernel preempts itself; True if it can and the mode is unknown."""
    try:
        mode = _MODE.read_text()
    except OSError:
        mode = ""
    return preempts(os.uname().version, mode)


def preempts(version: str, mode: str) -> bool:
    """Return whether a kernel preempts itself, from its version and its mode.

    Parameters
    ----------
    version : str
        As ``uname -v`` prints it: it has the preemption model that the kernel was built with.
    mode : str
        ``none voluntary (full)``, from debugfs, if the mode can be changed at run time; else empty.
    """
    words = set(version.split())
    if "PREEMPT_DYNAMIC" not in words:
        return bool(words & {"PREEMPT", "PREEMPT_RT", "PREEMPT_LAZY"})
    chosen = _CHOSEN.search(mode)
    return chosen is None or chosen[1] in _PREEMPTING
