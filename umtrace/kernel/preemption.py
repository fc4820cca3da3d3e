"""Whether the kernel takes the CPU from a task that runs in it.

A fentry program that is preempted keeps its CPU's turn: until it goes on, the kernel skips the
same program for every other task there, and counts that (``recursion_misses``, since 5.12,
9ed9e9ba2337). Kprobes run with preemption off.
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
    """Return whether this kernel preempts itself; True where it can and does not tell."""
    try:
        mode = _MODE.read_text()
    except OSError:
        mode = ""
    return preempts(os.uname().version, mode)


def preempts(version: str, mode: str) -> bool:
    """Return the same from what a kernel says.

    Parameters
    ----------
    version : str
        As ``uname -v`` prints it: it names the preemption that the kernel was built for.
    mode : str
        What debugfs says of a kernel that can be switched, ``none voluntary (full)``; or empty.
    """
    words = set(version.split())
    if "PREEMPT_DYNAMIC" not in words:
        return bool(words & {"PREEMPT", "PREEMPT_RT", "PREEMPT_LAZY"})
    chosen = _CHOSEN.search(mode)
    return chosen is None or chosen[1] in _PREEMPTING
