"""Loop devices and the files behind them, those attached in other namespaces too."""

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
#: of a loop device that `losetup -d` was told of, or that was attached for one user
AUTOCLEAR = "it goes with its last user"


@dataclass(frozen=True, slots=True)
class Loop:
    """One that is attached.

    ``file`` is as seen from our root; what has been unmounted or deleted has another name now, and
    another namespace the same name for another file. ``backing`` is the ``major:minor`` of the
    file system that it is on, ``below`` of the block device that stands for the file, if it is one;
    both None where the device could not be asked.
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
    """Return the name of a loop device's file as the kernel gives it below a directory of ours."""
    file = _BLOCK / posixpath.basename(node) / "loop" / "backing_file"
    try:
        text: bytes = asker().ask("seen_from", os.fsencode(root), os.fsencode(file))
    except OSError:
        return None
    return os.fsdecode(text).removesuffix("\n")


def _numbers(node: str, dev: str) -> tuple[str | None, str | None]:
    """Ask the device; the kernel then asks the file's server, which may be dead."""
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
