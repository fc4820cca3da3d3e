"""Reads from the descriptor of another task what /proc does not show."""

from __future__ import annotations

import array
import fcntl
import os
import termios
from contextlib import suppress

from umtrace.kernel.syscalls import syscall

_PIDFD_OPEN, _PIDFD_GETFD = 434, 438  # one number on every architecture


def unread_bytes(pid: int, fd: int) -> int | None:
    """Return how many bytes a descriptor of another task has to read; None if not known.

    Copies the descriptor for a moment (pidfd_getfd(2), Linux 5.6), so not for use while tracing.
    """
    with suppress(OSError):
        task = syscall(_PIDFD_OPEN, pid, 0)
        try:
            copy = syscall(_PIDFD_GETFD, task, fd, 0)
        finally:
            os.close(task)
        try:
            number = array.array("i", [0])
            fcntl.ioctl(copy, termios.FIONREAD, number)
            return number[0]
        finally:
            os.close(copy)
    return None
