"""The few system calls that umtrace needs and Python has no wrapper for."""

from __future__ import annotations

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# fsopen and its family have one number on every architecture (Linux 5.2).
FSOPEN = 430
FSCONFIG = 431
FSMOUNT = 432
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "s390x": 351, "ppc64le": 361, "riscv64": 280}
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "s390x": 331, "ppc64le": 319, "riscv64": 241}


def perf_event_open_nr() -> int:
    """Return the number of perf_event_open(2) here; NotImplementedError if not known."""
    try:
        return _PERF_EVENT_OPEN[platform.machine()]
    except KeyError:
        raise NotImplementedError(f"unknown machine {platform.machine()}") from None


def syscall(number: int, *args: int | bytes | ctypes.c_void_p | None) -> int:
    """Make a system call; OSError with its errno when it fails."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
