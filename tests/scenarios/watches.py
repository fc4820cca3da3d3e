"""inotify, for which Python has no module: a watch walks to a file and holds no mount."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

_IN_DELETE: Final = 0x200
_libc = ctypes.CDLL(None, use_errno=True)
_instances: dict[int, int] = {}


def watch(path: Path) -> int:
    """Watch a directory; return the descriptor that ends the watch when closed."""
    fd = int(_libc.inotify_init1(os.O_CLOEXEC))
    _add(fd, path)
    return fd


def watch_once(path: str) -> None:
    """Begin to watch and stop again, with one instance per process."""
    fd = _instances.get(os.getpid())
    if fd is None:
        fd = _instances[os.getpid()] = int(_libc.inotify_init1(os.O_CLOEXEC))
    _libc.inotify_rm_watch(fd, _add(fd, path))


def _add(fd: int, path: Path | str) -> int:
    number = int(_libc.inotify_add_watch(fd, os.fsencode(path), _IN_DELETE))
    if number < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
    return number
