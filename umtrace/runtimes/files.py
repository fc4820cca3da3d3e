"""Reads files of container runtimes: bounded, and through no link.

What lies there belongs to others. A file is read only if it is a regular one, and no component of
its path is a symbolic link. Every descriptor is closed at once, since it would pin a mount.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

#: bytes of one file; a list of 10,000 containers takes 8 MB
MOST_BYTES = 16 << 20
_DEEP = 64  # a list of directories in a path, no more
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_HOST = "/proc/1/root"


class HostFiles:
    """Reads below the host's root directory, also from within a container that sees its processes.

    Parameters
    ----------
    root : str, optional
        Where the host's root is; by default this is found out.
    """

    def __init__(self, root: str | None = None) -> None:
        self.root = _host_root() if root is None else root

    def read(self, path: str, most: int = MOST_BYTES) -> bytes | None:
        """Return the content of a file; None if it is none, is larger, or cannot be read."""
        with suppress(OSError, ValueError):
            fd = self._open(path, _FILE)
            try:
                about = os.fstat(fd)
                if stat.S_ISREG(about.st_mode) and about.st_size <= most:
                    with open(fd, "rb", closefd=False) as file:
                        content = file.read(most + 1)
                    return content if len(content) <= most else None
            finally:
                os.close(fd)
        return None

    def json(self, path: str, most: int = MOST_BYTES) -> Any:
        """Return what a JSON file holds; None if it holds nothing that can be read."""
        content = self.read(path, most)
        if content is None:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return None

    def changed(self, path: str) -> tuple[int, int] | None:
        """Return what changes when a file does: its time and size; None if it is not there."""
        with suppress(OSError, ValueError):
            fd = self._open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                about = os.fstat(fd)
                return about.st_mtime_ns, about.st_size
            finally:
                os.close(fd)
        return None

    def names(self, path: str, most: int = 65536) -> list[str]:
        """Return the names in a directory, at most so many; empty if it cannot be read."""
        with suppress(OSError, ValueError):
            fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                with os.scandir(fd) as entries:
                    return [entry.name for entry, _ in zip(entries, range(most), strict=False)]
            finally:
                os.close(fd)
        return []

    def _open(self, path: str, flags: int) -> int:
        parts = path.strip("/").split("/")
        if len(parts) > _DEEP or ".." in parts:
            raise ValueError(path)
        at = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                below = os.open(part, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            return os.open(parts[-1], flags, dir_fd=at)
        finally:
            os.close(at)


def _host_root() -> str:
    """Return the host's root directory as this process may see it."""
    with suppress(OSError):
        if Path("/proc/self/ns/mnt").stat().st_ino != Path("/proc/1/ns/mnt").stat().st_ino:
            os.close(os.open(_HOST, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            return _HOST
    return "/"
