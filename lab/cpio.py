"""Write an initramfs: the newc format of Documentation/driver-api/early-userspace."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ALIGN = 4
TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One folder, file or symbolic link (whose data is its target)."""

    path: str
    mode: int
    data: bytes = b""


def folder(path: str) -> Entry:
    """Return a folder."""
    return Entry(path=path, mode=stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path=path, mode=stat.S_IFREG | mode, data=data)


def pack(entries: Iterable[Entry]) -> bytes:
    """Return the archive of `entries`, in their order."""
    blocks = [_record(entry, number) for number, entry in enumerate(entries, start=1)]
    return b"".join([*blocks, _record(Entry(path=TRAILER, mode=0), 0)])


def _record(entry: Entry, inode: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links, size = 1, len(entry.data)
    # inode mode uid gid links mtime size major minor rmajor rminor namesize check
    fields = (inode, entry.mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)
