"""Programs with the steps of their long loops behind them, which bcc cannot link.

A step is a function that ``bpf_loop()`` calls (``bpf/steps.h``). The kernel takes it as a function
of the program itself, and wants BTF that says where each function of the program begins.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from umtrace.sources.bpf.bpf_syscall import Functions

_LOAD_WORD = 0x18  # BPF_LD | BPF_DW | BPF_IMM: two instructions wide
_PSEUDO_FUNC = 4
_INSN = 8
#: bpf/steps.h
STEPS: Final = {
    7701: "um_step_victim",
    7702: "um_step_tree",
    7703: "um_step_largest",
    7704: "um_step_held",
    7705: "um_step_table",
}

_MAGIC, _VERSION, _HEAD = 0xEB9F, 1, 24
_INT, _FUNC, _FUNC_PROTO = 1, 12, 13
_STATIC, _GLOBAL = 0, 1
_STRINGS = b"\0int\0um_program\0um_step\0"
_PROGRAM_ID, _STEP_ID = 3, 4


def words_at(code: bytes) -> Iterator[int]:
    """Yield where each instruction of a program begins, in bytes."""
    at = 0
    while at < len(code):
        yield at
        at += 2 * _INSN if code[at] == _LOAD_WORD else _INSN


def with_steps(code: bytes, step: Callable[[str], bytes]) -> tuple[bytes, Functions | None]:
    """Return a program with its steps behind it, and what the kernel must know of them.

    Parameters
    ----------
    code : bytes
        The program; where it takes the address of a step, it has the step's number.
    step : callable
        From the name of a step to its code.

    Returns
    -------
    bytes
    Functions or None
        None if it has no steps.
    """
    whole, begins = bytearray(code), dict[int, int]()
    for at in words_at(code):
        if code[at] != _LOAD_WORD or code[at + 1] >> 4 != _PSEUDO_FUNC:
            continue
        (number,) = struct.unpack_from("=i", code, at + 4)
        if number not in begins:
            begins[number] = len(whole)
            whole += step(STEPS[number])
        struct.pack_into("=i", whole, at + 4, (begins[number] - at) // _INSN - 1)
    if not begins:
        return code, None
    return bytes(whole), Functions(_btf(), _places([at // _INSN for at in begins.values()]))


def _places(steps: list[int]) -> bytes:
    """Return an array of struct bpf_func_info: instruction and BTF id of each function."""
    places = [(0, _PROGRAM_ID), *((at, _STEP_ID) for at in sorted(steps))]
    return b"".join(struct.pack("=II", *place) for place in places)


def _btf() -> bytes:
    """Return BTF with an int, a function type that returns it, and a function of each linkage."""

    def type_of(name: bytes, kind: int, more: int, last: int) -> bytes:
        return struct.pack("=III", _STRINGS.find(name + b"\0"), kind << 24 | more, last)

    types = b"".join(
        (
            type_of(b"int", _INT, 0, 4) + struct.pack("=I", 1 << 24 | 32),
            struct.pack("=III", 0, _FUNC_PROTO << 24, 1),
            type_of(b"um_program", _FUNC, _GLOBAL, 2),
            type_of(b"um_step", _FUNC, _STATIC, 2),
        )
    )
    sizes = (_HEAD, 0, len(types), len(types), len(_STRINGS))
    return struct.pack("=HBBIIIII", _MAGIC, _VERSION, 0, *sizes) + types + _STRINGS
