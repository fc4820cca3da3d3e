"""Reads the code of a function of this kernel, to see which other functions it calls."""

from __future__ import annotations

import platform
import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from umtrace.kernel.symbols import Symbols

KCORE = Path("/proc/kcore")

_HEADER = struct.Struct("<16x2xH12xQ14xHH6x")  # Elf64_Ehdr: machine, e_phoff, e_phentsize, e_phnum
_SEGMENT = struct.Struct("<I4xQQ8x8xQ8x")  # Elf64_Phdr: type, offset, vaddr, memsz
_LOAD, _X86_64 = 1, 62
_MOST_SEGMENTS, _MOST_BYTES = 4096, 1 << 16


def calls(
    symbols: Symbols, function: str, targets: Collection[str], kcore: Path = KCORE
) -> bool | None:
    """Return whether a function calls or jumps to one of others; None if that cannot be read.

    Parameters
    ----------
    symbols : Symbols
        With the address of the function and of its parts, and of the targets. A target that is
        absent was inlined everywhere.
    function : str
    targets : collection of str
    kcore : Path
        The kernel's memory as an ELF file. Lockdown forbids it, and containers often hide it.
    """
    parts = [name for name in symbols.names if name.partition(".")[0] == function]
    spans = [span for span in map(symbols.span, parts) if span]
    ends = [span[0] for span in map(symbols.span, targets) if span]
    if not spans or not ends or platform.machine() != "x86_64":
        return None
    try:
        with kcore.open("rb") as file:
            return any(_branches(_read(file, *span), span[0], ends) for span in spans)
    except (OSError, struct.error, ValueError):
        return None


def _branches(code: bytes, at: int, ends: Collection[int]) -> bool:
    """Whether four bytes of the code are the distance from their end to one of these addresses."""
    distances = ((i, struct.unpack_from("<i", code, i)[0]) for i in range(1, len(code) - 3))
    return any(at + i + 4 + distance in ends for i, distance in distances)


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    """Return the memory between two addresses; raise ValueError if it is in no segment."""
    machine, table, size, count = _HEADER.unpack(_exactly(file, 0, _HEADER.size))
    if machine != _X86_64 or size != _SEGMENT.size or count > _MOST_SEGMENTS:
        raise ValueError("no core of this machine")
    for kind, offset, vaddr, bytes_there in _SEGMENT.iter_unpack(
        _exactly(file, table, size * count)
    ):
        if kind == _LOAD and vaddr <= begin and end <= vaddr + bytes_there:
            return _exactly(file, offset + begin - vaddr, end - begin)
    raise ValueError("no segment has the function")


def _exactly(file: BinaryIO, at: int, size: int) -> bytes:
    if size > _MOST_BYTES * 4:
        raise ValueError("too large")
    file.seek(at)
    found = file.read(size)
    if len(found) != size:
        raise ValueError("cut off")
    return found
