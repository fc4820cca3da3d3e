"""Attach a loaded BPF program to a tracepoint by its number.

bcc's own attach needs tracefs mounted where it looks for it; the number alone is
enough for the kernel, and it can come from a detached tracefs.
"""

from __future__ import annotations

import fcntl
import os
import struct

from umtrace.kernel.syscalls import perf_event_open_nr, syscall

_TYPE_TRACEPOINT = 2
_FLAG_CLOEXEC = 8
_IOC_ENABLE = 0x2400
_IOC_SET_BPF = 0x40042408
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5


def attach_tracepoint(event_id: int, program_fd: int) -> int:
    """Run a program at every hit of a tracepoint, on all CPUs.

    Returns
    -------
    int
        The perf event's descriptor; closing it detaches the program.
    """
    attr = struct.pack("=IIQQQQ", _TYPE_TRACEPOINT, _ATTR_SIZE, event_id, 1, 0, 0)
    attr = attr.ljust(_ATTR_SIZE, b"\0")
    # A BPF program on a tracepoint runs whatever CPU the perf event is bound to.
    fd = syscall(perf_event_open_nr(), attr, -1, 0, -1, _FLAG_CLOEXEC)
    try:
        fcntl.ioctl(fd, _IOC_SET_BPF, program_fd)
        fcntl.ioctl(fd, _IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd
