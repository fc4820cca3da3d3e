"""Block devices in sysfs: names, partitions, and the devices on top of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_DEV = Path("/sys/dev/block")
_CLASS = Path("/sys/class/block")
_BTRFS = Path("/sys/fs/btrfs")
_JBD2 = Path("/proc/fs/jbd2")
_EXT4 = Path("/sys/fs/ext4")


@dataclass(frozen=True, slots=True)
class Btrfs:
    """One btrfs that the kernel has in use, mounted or not, and its devices."""

    uuid: str
    devs: frozenset[str]

    @property
    def fsid(self) -> int:
        """The half of f_fsid of statfs(2) that is the same in all its subvolumes."""
        raw = bytes.fromhex(self.uuid.replace("-", ""))
        return int.from_bytes(raw[:4], "big") ^ int.from_bytes(raw[8:12], "big")


def name_of(dev: str) -> str | None:
    """Return the kernel's name of ``major:minor``; None if sysfs has no such device."""
    with suppress(OSError):
        return os.path.basename(os.readlink(_DEV / dev)).replace("!", "/")  # noqa: PTH115, PTH119
    return None


def dev_of(name: str) -> str | None:
    """Return the ``major:minor`` of a device by its name in the kernel."""
    return _text(_CLASS / name.replace("/", "!") / "dev")


def node(dev: str) -> str:
    """Return the usual path of a device in /dev."""
    mapped = _text(_DEV / dev / "dm" / "name")
    if mapped is not None:
        return f"/dev/mapper/{mapped}"
    name = name_of(dev)
    return f"/dev/{name}" if name else dev


def loop_file(dev: str) -> str | None:
    """Return the file of a loop device, empty if it has none; None for any other device."""
    name = name_of(dev) or ""
    if not re.fullmatch(r"loop\d+", name):
        return None
    return (_text(_DEV / dev / "loop" / "backing_file") or "").strip()


def partitions(dev: str) -> list[str]:
    """Return the partitions of a disk."""
    return [found for entry in _entries(_DEV / dev) if (found := _partition(entry)) is not None]


def whole(dev: str) -> str | None:
    """Return the disk of a partition; None for a disk."""
    if not (_DEV / dev / "partition").exists():
        return None
    return _text(Path(os.path.realpath(_DEV / dev)).parent / "dev")


def stacked(dev: str) -> list[str]:
    """Return the devices (dm, md, bcache) that are made from this one."""
    found = (_text(entry / "dev") for entry in _entries(_DEV / dev / "holders"))
    return [above for above in found if above is not None]


def family(dev: str) -> dict[str, str]:
    """Return the device, its partitions, and the devices on top, each with the device below it.

    A claim or an open of any of these counts for the device.
    """
    found, left = {dev: ""}, [dev]
    while left:
        below = left.pop()
        for above in [*partitions(below), *stacked(below)]:
            if above not in found:
                found[above] = below
                left.append(above)
    return found


def btrfs() -> list[Btrfs]:
    """Return every btrfs that the kernel has in use."""
    found = []
    for entry in _entries(_BTRFS):
        devs = {_text(device / "dev") for device in _entries(entry / "devices")}
        if known := frozenset(dev for dev in devs if dev is not None):
            found.append(Btrfs(entry.name, known))
    return found


def journals() -> dict[str, str | None]:
    """Return the external journals of ext4, each with the device of its ext4 (None: not known)."""
    # The directory of an internal journal is NAME-INODE. The thread of jbd2 has the name of the
    # journal (jbd2_journal_init_dev).
    own = (dev_of(entry.name.replace("!", "/")) for entry in _entries(_JBD2))
    found: dict[str, str | None] = {dev: None for dev in own if dev is not None}
    for entry in _entries(_EXT4):
        thread = _text(entry / "journal_task")
        name = _text(Path("/proc") / thread / "comm") if thread else None
        journal = dev_of(name.removeprefix("jbd2/").replace("!", "/")) if name else None
        if journal in found:
            found[journal] = dev_of(entry.name)
    return found


def _partition(entry: Path) -> str | None:
    return _text(entry / "dev") if (entry / "partition").exists() else None


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(folder.iterdir())


def _text(path: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return None
