"""Loop devices and their files, also of loop devices attached in other namespaces."""

from __future__ import annotations

import os
import posixpath
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from umtrace.holders.asker import asker

_BLOCK = Path("/sys/block")
_INFO: Final = struct.Struct("=QQQ")  # lo_device, lo_inode, lo_rdevice
#: the loop device has autoclear: `losetup -d` was run, or it was attached so
AUTOCLEAR = "it is detached when its last user ends"


@dataclass(frozen=True, slots=True)
class Loop:
    """One attached loop device.

    ``file`` is its file, as a path from the root of this process. The path changes if the file is
    deleted or its mount detached, and may be that of another file in another namespace.
    ``backing`` is the ``major:minor`` of the file system of the file. ``below`` is that of the file
    itself if it is a block device. Both are None if the loop device did not answer.
    """

    node: str
    dev: str
    file: str
    backing: str | None
    autoclear: bool
    below: str | None = None


def attached() -> Iterator[Loop]:
    """Yield the loop devices that have a file."""
    for entry in sorted(_BLOCK.glob("loop*")):
        with suppress(OSError):
            file = os.fsdecode((entry / "loop" / "backing_file").read_bytes()).removesuffix("\n")
            dev = (entry / "dev").read_text().strip()
            clear = (entry / "loop" / "autoclear").read_text().strip() == "1"
            node = f"/dev/{entry.name}"
            backing, below = _numbers(node, dev)
            yield Loop(node, dev, file, backing, clear, below)


def seen_from(node: str, root: str) -> str | None:
    """Return the path of a loop device's file as the kernel writes it for the root ``root``."""
    file = _BLOCK / posixpath.basename(node) / "loop" / "backing_file"
    try:
        text: bytes = asker().ask("seen_from", os.fsencode(root), os.fsencode(file))
    except OSError:
        return None
    return os.fsdecode(text).removesuffix("\n")


def _numbers(node: str, dev: str) -> tuple[str | None, str | None]:
    """Ask the loop device; the kernel then asks the server of the file, which may be dead."""
    try:
        rdev, info = asker().ask("loop", os.fsencode(node))
    except OSError:
        return None, None
    if _number(rdev) != dev:
        return None, None
    backing, _, below = _INFO.unpack_from(info)
    return _number(backing), _number(below) if below else None


def _number(encoded: int) -> str:
    return f"{os.major(encoded)}:{os.minor(encoded)}"
