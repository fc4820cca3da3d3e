"""Finds the path of a cgroup id.

open_by_handle_at(2) gives the path of the id, so no tree is walked and no process is read. No
maintained library does this for foreign processes.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_FILEID_KERNFS = 0xFE

_libc = ctypes.CDLL(None, use_errno=True)


class CgroupPaths:
    """Finds the path of a cgroup that exists, by its id."""

    def __init__(self) -> None:
        self._mounted = cgroup2_root() or ""
        self._root = _open_cgroup2()

    def __call__(self, cgroup_id: int) -> str | None:
        """Return the path from the root of the cgroup v2 file system; None if there is none."""
        path = _path_of(self._root, cgroup_id)
        if path is None or not (path + "/").startswith(self._mounted.rstrip("/") + "/"):
            return None
        return path[len(self._mounted.rstrip("/")) :] or "/"

    def close(self) -> None:
        """Close the cgroup file system; may be called twice."""
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)


def cgroup2_root() -> str | None:
    """Return where the cgroup v2 file system is mounted; None if it is not."""
    with suppress(OSError):
        # Only blanks separate the fields, and only newlines the lines: both are escaped in the
        # paths of mounts, while form feeds, U+0085 and the like are not.
        for line in os.fsdecode(_MOUNTS.read_bytes()).split("\n"):
            words = line.split(" ")
            if words[2:3] == ["cgroup2"]:
                return words[1]
    return None


def _open_cgroup2() -> int:
    root = cgroup2_root()
    with suppress(OSError):
        return -1 if root is None else os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    return -1


def _path_of(root: int, cgroup_id: int) -> str | None:
    if root < 0:
        return None
    handle = struct.pack("=IiQ", 8, _FILEID_KERNFS, cgroup_id)
    fd = _libc.open_by_handle_at(root, handle, os.O_RDONLY | os.O_DIRECTORY)
    if fd < 0:
        return None
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    finally:
        os.close(fd)
