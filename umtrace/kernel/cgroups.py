"""Finds the container of a cgroup id.

open_by_handle_at(2) gives the path of the id, so no tree is walked and no process is read. No
maintained library does this for foreign processes. The patterns are those of the runtimes in use.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from contextlib import suppress
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_FILEID_KERNFS = 0xFE
_MAX_KNOWN = 65536

_HEX64 = r"([0-9a-f]{64})"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:docker|cri-containerd|crio|libpod|nerdctl|buildkit)-{_HEX64}\.scope",
        rf"(?:libpod-payload-|crio-){_HEX64}",
        rf"/(?:docker|kubepods|containerd|buildkit|actions_job|ecs)/(?:.*/)?{_HEX64}",
        rf"/kubepods[^/]*(?:/[^/]+)*/{_HEX64}",
        r"/lxc(?:\.payload)?[./]([^/]+)",
        r"/machine\.slice/systemd-nspawn@(.+?)\.service",
        r"/machine\.slice/machine-(.+?)\.scope",
    )
)

_libc = ctypes.CDLL(None, use_errno=True)


def container_in_path(path: str) -> str | None:
    """Return the container's id (or name, for lxc and nspawn) named by a cgroup path."""
    for pattern in _PATTERNS:
        found = pattern.search(path)
        if found:
            return found[1].replace("\\x2d", "-")
    return None


class Containers:
    """Resolves cgroup ids, and remembers the result after the cgroup is gone, too."""

    def __init__(self) -> None:
        self._known: dict[int, str | None] = {}
        self._root = _open_cgroup2()

    def __call__(self, cgroup_id: int) -> str | None:
        """Return the container of a cgroup id; None for the host, or if it is unknown."""
        if cgroup_id not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            path = _path_of(self._root, cgroup_id)
            self._known[cgroup_id] = container_in_path(path) if path else None
        return self._known[cgroup_id]

    @property
    def found(self) -> dict[int, str]:
        """Return the containers found so far, by cgroup id."""
        return {i: name for i, name in self._known.items() if name}

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
