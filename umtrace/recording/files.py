"""Open what lies in a recording's directory, which a stranger may have filled.

A FIFO would make us wait, a device never ends, a link leads elsewhere: none of them is opened
for reading, whatever its name.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pyarrow as pa

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NoRegularFileError(OSError):
    """What is there is a FIFO, a device, a link or a directory."""


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Return the descriptor of a regular file; NoRegularFileError where it is another thing."""
    try:
        fd = os.open(path, flags | _FLAGS, mode)
    except OSError as error:
        # ELOOP: a link. ENXIO: a socket, or a FIFO opened for writing. EISDIR: a directory.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _refused(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _refused(path)
    return fd


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file; ValueError where it is longer than ``most`` bytes."""
    with open(open_regular(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most >> 20} MB")
    return data


def open_for_arrow(path: Path) -> pa.NativeFile:
    """Open a regular file for Arrow, which opens by name: by that of our descriptor."""
    fd = open_regular(path)
    try:
        return pa.OSFile(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # no /proc
        return pa.PythonFile(os.fdopen(os.dup(fd), "rb"))
    finally:
        os.close(fd)


def _refused(path: Path) -> NoRegularFileError:
    return NoRegularFileError(errno.EINVAL, "is no regular file", str(path))
