"""Programs without the addresses of a boot, so that they can be cached for the next one.

The compiler gets a number for each address. A program adds or subtracts it with a mark, in one
instruction (``bpf/addresses.h``), and the loader writes the address there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from umtrace.sources.bpf.bpf_functions import words_at

#: bpf/addresses.h
MARK: Final = 0x5C3A1700
_MOST = 0x100
_ADD, _SUBTRACT = 0x07, 0x17  # BPF_ALU64 with a constant, which is extended by its sign
# The kernel of x86-64 is in the last 2 GiB, so the last 32 bits of an address and its sign say it.
_LAST_2_GIB = re.compile(r"0x(f{8}[89a-f][0-9a-f]{7})ULL(,\d+)?")

Constants = Mapping[str, int | str]


def numbered(constants: Constants) -> tuple[dict[str, int | str], list[int]]:
    """Return the constants with a number instead of each address, and the addresses.

    Parameters
    ----------
    constants : mapping
        ``-D`` constants. An address is ``0x…ULL``, that of a function with its length behind a
        comma. Addresses that are not in the last 2 GiB stay.
    """
    found, addresses = dict(constants), list[int]()
    for name in sorted(constants):
        match = _LAST_2_GIB.fullmatch(str(constants[name]))
        if not match or len(addresses) == _MOST - 1:
            continue
        addresses.append(int(match[1], 16))
        number = len(addresses)  # 0 is a function that the kernel does not have
        found[name] = f"{number}{match[2]}" if match[2] else f"um_address({number})"
    if addresses:
        found["UM_NUMBERED"] = 1
    return found, addresses


def with_addresses(code: bytes, addresses: Sequence[int]) -> bytes:
    """Return a program with the addresses of this boot."""
    patched = bytearray(code)
    for at in words_at(code):
        if code[at] not in {_ADD, _SUBTRACT}:
            continue
        (number,) = struct.unpack_from("=i", code, at + 4)
        if 0 < number - MARK <= len(addresses):
            struct.pack_into("=I", patched, at + 4, addresses[number - MARK - 1] & 0xFFFFFFFF)
    return bytes(patched)
