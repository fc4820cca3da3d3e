"""Take the ELF kernel out of a compressed boot image.

QEMU starts it at once (PVH); unpacking the boot image under emulation costs 0.5 to 3 seconds of
every boot. Layout: Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess

from lab import host
from lab.errors import LabError

ELF = b"\x7fELF"
SETUP_SECTS = 0x1F1
MAGIC, MAGIC_AT = b"HdrS", 0x202
PAYLOAD = 0x248
SECTOR = 512


def payload(image: bytes) -> bytes:
    """Return the compressed kernel inside a boot image, without its trailing size word."""
    if image[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        raise LabError("not an x86 boot image")
    setup = (image[SETUP_SECTS] or 4) + 1
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    start = setup * SECTOR + offset
    body = image[start : start + length]
    # gzip ends with the size by itself; for every other format the build appends it.
    return body if body.startswith(b"\x1f\x8b") else body[:-4]


def vmlinux(image: bytes) -> bytes:
    """Return the ELF kernel of a boot image."""
    elf = _decompress(payload(image))
    if not elf.startswith(ELF):
        raise LabError("the boot image holds no ELF kernel")
    return elf


def _decompress(body: bytes) -> bytes:
    if body.startswith(b"\x1f\x8b"):
        return gzip.decompress(body)
    if body.startswith(b"\xfd7zXZ"):
        return lzma.decompress(body)
    if body.startswith(b"\x28\xb5\x2f\xfd"):
        return _filter("zstd", body)
    if body.startswith(b"\x02\x21\x4c\x18"):
        return _filter("lz4", body)
    raise LabError(f"unknown kernel compression {body[:4].hex()}")


def _filter(program: str, body: bytes) -> bytes:
    command = [host.find(program), "-dc"]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"{program} could not unpack the kernel: {done.stderr.decode().strip()}")
    return done.stdout
