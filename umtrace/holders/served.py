"""Files that servers in the kernel hold open: for NFS clients, iSCSI and NVMe targets, USB."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from umtrace.holders.claims import Claim

_CLIENTS = Path("/proc/fs/nfsd/clients")
_CONFIG = Path("/sys/kernel/config")
_STATE = re.compile(
    r'superblock: "([0-9a-f]+):([0-9a-f]+):\d+"(?:, filename: "((?:[^"\\]|\\.)*)")?'
)
_FILEIO = re.compile(r"File: (.*?)\s+Size: ")


def served() -> Iterator[Claim]:
    """Yield these files; none without such a server."""
    yield from _nfs_opens()
    for info in _CONFIG.glob("target/core/fileio_*/*/info"):
        if match := _FILEIO.search(_text(info)):
            yield Claim(kind="target", path=match[1], comm=str(info.parent))
    for enable in _CONFIG.glob("nvmet/subsystems/*/namespaces/*/enable"):
        if _text(enable).strip() == "1":
            path = _text(enable.with_name("device_path")).strip()
            yield Claim(kind="nvmet", path=path, comm=str(enable.parent))
    for lun in _CONFIG.glob("usb_gadget/*/functions/mass_storage.*/lun.*/file"):
        if path := _text(lun).removesuffix("\n"):
            yield Claim(kind="usb-gadget", path=path, comm=str(lun.parent))


def backing() -> Iterator[Claim]:
    """Yield block devices that the kernel claims for iSCSI targets and for zram to write back."""
    for path in _CONFIG.glob("target/core/iblock_*/*/udev_path"):
        if text := _text(path).strip():
            yield Claim(kind="target", path=text, comm=str(path.parent))
    for path in Path("/sys/block").glob("zram*/backing_dev"):
        if (text := _text(path).strip()) not in {"", "none"}:
            yield Claim(kind="zram", path=text, comm=f"/dev/{path.parts[3]}")


def _nfs_opens() -> Iterator[Claim]:
    for states in _CLIENTS.glob("*/states"):
        for dev, name in nfs_opens(_text(states)):
            client = str(states.parent)
            yield Claim(kind="nfs-open", dev=dev, comm=client, detail=name or "a file", sure=False)


def nfs_opens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (device, name) of what an NFSv4 client has open, locked or delegated (Linux 5.3)."""
    for line in text.split("\n"):
        if match := _STATE.search(line):
            yield f"{int(match[1], 16)}:{int(match[2], 16)}", match[3] or ""


def _text(path: Path) -> str:
    with suppress(OSError):
        return os.fsdecode(path.read_bytes())
    return ""
