"""On which mount a swap file is: the kernel has its path, which may lead elsewhere here."""

from __future__ import annotations

import os

from umtrace.holders.asker import asker
from umtrace.holders.mounts import Mount, root_for, unescape
from umtrace.holders.procfs import undeleted

_SWAPS = b"/proc/swaps"


def is_on(mount: Mount, path: str) -> bool | None:
    """Return whether a swap file of /proc/swaps is on a mount of ours; None where that is not told.

    The path may be that of another namespace, or of a mount that was detached. The kernel words it
    for who reads: from a root directory of its own it shortens what is behind our mount alone.
    """
    root = root_for(mount.point, undeleted(path))
    if root == "/":
        return None
    try:
        text: bytes = asker().ask("seen_from", os.fsencode(root), _SWAPS)
    except OSError:
        return None
    names = {unescape(line.partition(" ")[0]) for line in os.fsdecode(text).split("\n")[1:]}
    if path.removeprefix(root) in names:
        return True
    return False if path in names else None
