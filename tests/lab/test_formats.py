"""The boot image and the initramfs, byte by byte."""

from __future__ import annotations

import gzip
import lzma
import struct

import pytest

from lab import bzimage, cpio
from lab.errors import LabError

KERNEL = b"\x7fELF" + bytes(range(256)) * 8


def boot_image(body, *, appended_size):
    setup_sectors, offset = 3, 0x40
    if appended_size:
        body += struct.pack("<I", len(KERNEL))
    image = bytearray((setup_sectors + 1) * 512 + offset)
    image[0x1F1] = setup_sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, offset, len(body))
    return bytes(image) + body + b"signature"


def test_an_xz_kernel_is_taken_out():
    packed = lzma.compress(KERNEL, format=lzma.FORMAT_XZ)
    assert bzimage.vmlinux(boot_image(packed, appended_size=True)) == KERNEL


def test_a_gzip_kernel_is_taken_out():
    assert bzimage.vmlinux(boot_image(gzip.compress(KERNEL), appended_size=False)) == KERNEL


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"MZ" + bytes(2000), "not an x86 boot image"),
        (boot_image(b"????" + bytes(64), appended_size=True), "compression 3f3f3f3f"),
        (boot_image(gzip.compress(b"no elf"), appended_size=False), "no ELF kernel"),
    ],
)
def test_what_is_no_kernel_is_refused(image, message):
    with pytest.raises(LabError, match=message):
        bzimage.vmlinux(image)


def test_the_initramfs_is_a_newc_archive():
    data = cpio.pack([cpio.folder("bin"), cpio.file("bin/x", b"12345", 0o755)])
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    # The second record starts after the first header (110 bytes), its name and padding.
    second = 110 + len(b"bin\0") + 2
    fields = [int(data[second + 6 + 8 * n : second + 14 + 8 * n], 16) for n in range(13)]
    assert fields[1] == 0o100755
    assert fields[6] == 5
    assert fields[11] == len(b"bin/x\0")
    assert data[second + 116 : second + 121] == b"12345"
    assert b"TRAILER!!!\0" in data
