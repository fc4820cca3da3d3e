"""Attach a loaded BPF program to a tracepoint by its number, to a function by its name.

The attach of bcc needs a tracefs that is mounted at a certain path. The kernel needs only the
number, which can come from a detached tracefs. A kprobe made in this way needs no tracefs, and ends
with its descriptor.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path

from umtrace.kernel.syscalls import perf_event_open_nr, syscall

_TYPE_TRACEPOINT = 2
_FLAG_CLOEXEC = 8
_IOC_ENABLE = 0x2400
_IOC_SET_BPF = 0x40042408
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5
_KPROBE_NAME_AT = 56  # config1
_KPROBE_TYPE = Path("/sys/bus/event_source/devices/kprobe/type")


def attach_tracepoint(event_id: int, program_fd: int) -> int:
    """Run a program at every hit of a tracepoint, on all CPUs.

    Returns
    -------
    int
        The perf event's descriptor; closing it detaches the program.
    """
    return _attach(struct.pack("=IIQQ", _TYPE_TRACEPOINT, _ATTR_SIZE, event_id, 1), program_fd)


def attach_kprobe(symbol: str, program_fd: int) -> int:
    """Run a program at every entry of a kernel function, on all CPUs.

    Returns
    -------
    int
        As `attach_tracepoint`.
    """
    kind, name = int(_KPROBE_TYPE.read_text()), ctypes.create_string_buffer(symbol.encode())
    head = struct.pack("=IIQQ", kind, _ATTR_SIZE, 0, 1).ljust(_KPROBE_NAME_AT, b"\0")
    return _attach(head + struct.pack("=Q", ctypes.addressof(name)), program_fd)


def _attach(attr: bytes, program_fd: int) -> int:
    attr = attr.ljust(_ATTR_SIZE, b"\0")
    # The BPF program runs on all CPUs, whichever CPU the perf event is bound to.
    fd = syscall(perf_event_open_nr(), attr, -1, 0, -1, _FLAG_CLOEXEC)
    try:
        fcntl.ioctl(fd, _IOC_SET_BPF, program_fd)
        fcntl.ioctl(fd, _IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd
