"""Whether QEMU can start an ELF kernel: it must have the entry point of PVH.

Distributions have CONFIG_PVH set; the kernel's own defconfig has not.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ELF64 = b"\x7fELF\x02\x01"
PROGRAM_HEADERS, SIZE_AND_COUNT = 32, 54
PT_NOTE = 4
#: XEN_ELFNOTE_PHYS32_ENTRY
ENTRY = (b"Xen\0", 18)


def starts(elf: bytes) -> bool:
    """Return whether an ELF kernel has that entry point."""
    if not elf.startswith(ELF64):
        return False
    return any(ENTRY in _kinds(segment) for segment in _notes(elf))


def _notes(elf: bytes) -> Iterator[bytes]:
    """Yield the segments with notes."""
    (first,) = struct.unpack_from("<Q", elf, PROGRAM_HEADERS)
    size, count = struct.unpack_from("<HH", elf, SIZE_AND_COUNT)
    for number in range(count):
        at = first + number * size
        kind, _flags, offset, _virtual, _physical, length = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == PT_NOTE:
            yield elf[offset : offset + length]


def _kinds(notes: bytes) -> list[tuple[bytes, int]]:
    """Return the name and the type of each note."""
    found, at = [], 0
    while at + 12 <= len(notes):
        name, data, kind = struct.unpack_from("<III", notes, at)
        at += 12
        found.append((notes[at : at + name], kind))
        at += _padded(name) + _padded(data)
    return found


def _padded(length: int) -> int:
    return -(-length // 4) * 4
