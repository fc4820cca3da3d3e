"""Write to the control files of tracefs; reading them is `kernel.tracefs`."""

from __future__ import annotations

import os

from umtrace.kernel.tracefs import Tracefs


def write(tracefs: Tracefs, path: str, text: str) -> None:
    """Replace the content of a control file; OSError if the kernel refuses."""
    _write(tracefs, path, text, os.O_TRUNC)


def append(tracefs: Tracefs, path: str, text: str) -> None:
    """Write to a control file without truncating it; OSError if the kernel refuses."""
    _write(tracefs, path, text, os.O_APPEND)


def _write(tracefs: Tracefs, path: str, text: str, how: int) -> None:
    fd = os.open(path, os.O_WRONLY | how, dir_fd=tracefs.fd)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
