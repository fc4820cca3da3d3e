"""How many mounts this task's own namespace has; the file is never held open."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")


def count_mounts() -> int:
    """Count the mounts that this task can see."""
    return _MOUNTINFO.read_bytes().count(b"\n")


def count_all_mounts() -> int:
    """Count the mounts that go with the namespace.

    That is what this task can see, and the parents of those mounts that no path
    leads to: mostly one, the initial rootfs under /.
    """
    split = [line.split(b" ", 2) for line in _MOUNTINFO.read_bytes().split(b"\n")[:-1]]
    ids = {words[0] for words in split}
    parents = {words[1] for words in split}
    return len(split) + len(parents - ids)
