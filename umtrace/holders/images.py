"""Mounts that hold the file or directory they were made from: EROFS of a file, eCryptfs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from umtrace.holders.claims import Claim, ListedMount

#: these hold their source, a path: fs/erofs/super.c since Linux 6.12, fs/ecryptfs/main.c
_OF_A_PATH = frozenset({"erofs", "ecryptfs"})


def images(mounts: Iterable[ListedMount]) -> Iterator[Claim]:
    """Yield what such mounts hold until the last mount of the superblock is unmounted."""
    for seen in mounts:
        mount = seen.mount
        # A real device number means a block device, which is a holder of another kind.
        if mount.fstype in _OF_A_PATH and mount.dev.startswith("0:"):
            yield Claim(
                kind="image",
                path=mount.source,
                pid=seen.pid,
                comm=mount.source,
                detail=mount.point,
                namespace=seen.namespace,
            )
