"""The entry point by which QEMU starts an ELF kernel."""

from __future__ import annotations

import struct

from lab import pvh


def kernel(*notes):
    """An ELF file with one segment of notes."""
    body = b"".join(
        struct.pack("<III", len(name), len(data), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + data.ljust(-(-len(data) // 4) * 4, b"\0")
        for name, kind, data in notes
    )
    header = bytearray(64)
    header[:6] = pvh.ELF64
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, 2)
    loaded = struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0, 0, 0)
    noted = struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(body), len(body), 4)
    return bytes(header) + loaded + noted + body


def test_the_note_is_found_among_others():
    entry = (b"Xen\0", 18, struct.pack("<Q", 0x1000000))
    assert pvh.starts(kernel((b"Linux\0", 257, b"\1"), entry))


def test_others_are_no_entry():
    assert not pvh.starts(kernel((b"Xen\0", 5, b"2.0\0"), (b"GNU\0", 18, b"12345678")))
    assert not pvh.starts(kernel())


def test_what_is_no_elf_kernel_of_64_bits_has_none():
    assert not pvh.starts(b"\x7fELF\x01\x01" + bytes(64))
    assert not pvh.starts(b"MZ")
