"""Files that the kernel itself holds open: swap, loop devices, NFS exports, uprobe events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.holders.asker import asker
from umtrace.holders.mounts import Mount, root_for, unescape
from umtrace.holders.procfs import undeleted

_SWAPS = Path("/proc/swaps")
_BLOCK = Path("/sys/block")
_WHOLE_PROC = Path("/proc/filesystems")
#: the export cache of the NFS server of this network namespace
_EXPORTS = Path("/proc/net/rpc/nfsd.export/content")

_UPROBES = (
    Path("/sys/kernel/tracing/uprobe_events"),
    Path("/sys/kernel/debug/tracing/uprobe_events"),
)


def kernel_files() -> Iterator[tuple[str, str, str]]:
    """Yield (kind, path, what holds it)."""
    yield from (("swap", path, "swap") for path in swaps())
    for backing in _BLOCK.glob("loop*/loop/backing_file"):
        with suppress(OSError):
            yield "loop", _text(backing).removesuffix("\n"), f"/dev/{backing.parts[3]}"
    with suppress(OSError):
        for path, client in exported(_text(_EXPORTS)):
            yield "nfs-export", path, client
    for events in _UPROBES:
        with suppress(OSError):
            yield from (("uprobe", path, name) for path, name in probed(_text(events)))
            return


def not_there() -> list[str]:
    """Return what cannot be read because /sys, or a part of /proc, is not mounted."""
    found = []
    if not _BLOCK.exists():
        found.append("loop devices and what is stacked on devices (/sys is not mounted)")
    if not _WHOLE_PROC.exists():
        found.append("swap and exports (/proc is mounted with subset=pid)")
    return found


def swaps() -> Iterator[str]:
    """Yield the files and devices in use as swap."""
    with suppress(OSError):
        for line in _text(_SWAPS).split("\n")[1:-1]:
            yield unescape(line.partition(" ")[0])


def swap_is_on(mount: Mount, path: str) -> bool | None:
    """Return whether a swap file of /proc/swaps is on a mount of this namespace; None: not known.

    The path may be that of another namespace, or of a detached mount. For a reader with another
    root directory the kernel shortens the path only if the file is below that root.
    """
    root = root_for(mount.point, undeleted(path))
    if root == "/":
        return None
    try:
        text: bytes = asker().ask("seen_from", os.fsencode(root), os.fsencode(_SWAPS))
    except OSError:
        return None
    names = {unescape(line.partition(" ")[0]) for line in os.fsdecode(text).split("\n")[1:]}
    if path.removeprefix(root) in names:
        return True
    return False if path in names else None


def exported(cache: str) -> Iterator[tuple[str, str]]:
    """Yield (path, client) of the entries of an export cache that hold their path.

    A line is ``PATH CLIENT(OPTIONS)``. A line with a # has no export, such as a client without
    access. Each entry holds a reference to its mount while it is in the cache (svc_export in
    fs/nfsd/export.c).
    """
    for line in cache.split("\n"):
        if not line.startswith("#") and "\t" in line:
            path, _, rest = line.partition("\t")
            yield unescape(path), rest.partition("(")[0]


def probed(events: str) -> Iterator[tuple[str, str]]:
    """Yield (path, event) of uprobe events, enabled or not; each holds the mount of its file.

    A line is ``p:GROUP/NAME PATH:0xOFFSET ARGUMENTS`` (trace_uprobe in kernel/trace). Uprobes
    made by perf_event_open alone, as bpftrace does, are in no list.
    """
    for line in events.split("\n"):
        name, _, place = line.partition(" ")
        path, found, _ = place.partition(":0x")
        if found:
            yield path, name.partition(":")[2]


def _text(path: Path) -> str:
    return os.fsdecode(path.read_bytes())  # a path may have any bytes
