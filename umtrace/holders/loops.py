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
_LO_DEVICE: Final = struct.Struct("=Q")
#: of a loop device that `losetup -d` was told of, or that was attached for one user
AUTOCLEAR = "it goes with its last user"


@dataclass(frozen=True, slots=True)
class Loop:
    """One that is attached.

    ``file`` is as seen from our root; what has been unmounted or deleted has another name now, and
    another namespace the same name for another file. ``backing`` is the ``major:minor`` of the
    file system that it is on, None where the device could not be asked.
    """

    node: str
    dev: str
    file: str
    backing: str | None
    autoclear: bool


def attached() -> Iterator[Loop]:
    """Yield the loop devices that have a file."""
    for entry in sorted(_BLOCK.glob("loop*")):
        with suppress(OSError):
            file = os.fsdecode((entry / "loop" / "backing_file").read_bytes()).removesuffix("\n")
            dev = (entry / "dev").read_text().strip()
            clear = (entry / "loop" / "autoclear").read_text().strip() == "1"
            node = f"/dev/{entry.name}"
            yield Loop(node, dev, file, _backing(node, dev), clear)


def seen_from(node: str, root: str) -> str | None:
    """Return the name of a loop device's file as the kernel gives it below a directory of ours."""
    file = _BLOCK / posixpath.basename(node) / "loop" / "backing_file"
    try:
        text: bytes = asker().ask("seen_from", os.fsencode(root), os.fsencode(file))
    except OSError:
        return None
    return os.fsdecode(text).removesuffix("\n")


def _backing(node: str, dev: str) -> str | None:
    """Ask the device; the kernel then asks the file's server, which may be dead."""
    try:
        rdev, info = asker().ask("loop", os.fsencode(node))
    except OSError:
        return None
    number = _LO_DEVICE.unpack_from(info)[0]
    found = f"{os.major(rdev)}:{os.minor(rdev)}"
    return f"{os.major(number)}:{os.minor(number)}" if found == dev else None
