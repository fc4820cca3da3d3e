"""The cgroups that exist when the recorder starts: one read of the host's tree."""

from __future__ import annotations

import os
from collections.abc import Iterator

from umtrace.kernel.cgroups import cgroup2_root
from umtrace.owners.knowledge import MOST

#: the usual one, and that of hosts that have both versions
_PLACES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def cgroups_below(host_root: str) -> Iterator[tuple[int, str]]:
    """Yield id and path of the cgroups of the host, at most `MOST`; every descriptor is closed.

    ``host_root`` is the host's root directory: its cgroups have their whole paths there, also if
    this process is in a cgroup namespace of its own.
    """
    own = [cgroup2_root() or ""] if host_root == "/" else [host_root + place for place in _PLACES]
    top = next((place for place in own if place and _is_cgroup2(place)), None)
    if top is None:
        return
    waiting, found = [""], 0
    while waiting and found < MOST:
        path = waiting.pop()
        try:
            with os.scandir(top + path) as entries:
                below = [e for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        for entry in below:
            found += 1
            waiting.append(f"{path}/{entry.name}")
            yield entry.inode(), waiting[-1]


def _is_cgroup2(top: str) -> bool:
    return os.path.exists(f"{top}/cgroup.controllers")  # noqa: PTH110 - no object for it
