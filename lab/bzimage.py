"""Take the ELF kernel out of a compressed boot image.

QEMU starts it at once (PVH); unpacking the boot image under emulation costs 0.5 to 3 seconds of
every boot. Layout: Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import struct

from lab import unpack
from lab.errors import LabError

ELF = b"\x7fELF"
SETUP_SECTS = 0x1F1
MAGIC, MAGIC_AT = b"HdrS", 0x202
VERSION = 0x20E
PAYLOAD = 0x248
SECTOR = 512


def payload(image: bytes) -> bytes:
    """Return the compressed kernel inside a boot image, without its trailing size word."""
    _check(image)
    setup = (image[SETUP_SECTS] or 4) + 1
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    start = setup * SECTOR + offset
    body = image[start : start + length]
    # gzip ends with the size by itself; for every other format the build appends it.
    return body if body.startswith(b"\x1f\x8b") else body[:-4]


def release(image: bytes) -> str:
    """Return the release of the kernel in a boot image, as ``uname -r`` says it."""
    _check(image)
    (at,) = struct.unpack_from("<H", image, VERSION)
    text, _, _ = image[MAGIC_AT - 2 + at :].partition(b"\0")
    words = text.decode("utf-8", "replace").split()
    if not at or not words:
        raise LabError("the boot image does not say its release")
    return words[0]


def vmlinux(image: bytes) -> bytes:
    """Return the ELF kernel of a boot image."""
    elf = unpack.plain(payload(image))
    if not elf.startswith(ELF):
        raise LabError("the boot image holds no ELF kernel")
    return elf


def _check(image: bytes) -> None:
    if image[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        raise LabError("not an x86 boot image")
