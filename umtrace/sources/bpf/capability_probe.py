"""Tests in milliseconds whether the kernel refuses a function tier, before it is compiled."""

from __future__ import annotations

import os
import struct
from contextlib import closing

from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import UmtraceError
from umtrace.sources.bpf.bpf_functions import STEPS, with_steps
from umtrace.sources.bpf.bpf_object import memory_unlimited, refused
from umtrace.sources.bpf.bpf_syscall import AttachType, ProgramType, load_program
from umtrace.sources.kprobe_events import KprobeEvents

_CALL, _TO_KFUNC = 0x85, 2  # BPF_JMP | BPF_CALL, BPF_PSEUDO_KFUNC_CALL
_LOAD_WORD, _FUNCTION = 0x18, 4  # BPF_LD | BPF_DW | BPF_IMM, BPF_PSEUDO_FUNC
_BPF_LOOP = 181
_RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")  # r0 = 0; exit


def try_fentry(function: str, btf_id: int) -> None:
    """Load a program that does nothing for the entry of a function, and drop it.

    Raises
    ------
    NoTierError, NotPermittedError
        As the kernel says.
    """
    try:
        with memory_unlimited():
            program = load_program(
                "um_trial",
                _RETURN_0,
                ProgramType.TRACING,
                attach_type=AttachType.FENTRY,
                attach_btf_id=btf_id,
            )
    except OSError as error:
        raise refused(function, error) from error
    os.close(program)


def plain_loads(cast_id: int, type_id: int) -> bool:
    """Whether this kernel lets a program make a pointer of a number and load from it.

    Parameters
    ----------
    cast_id, type_id : int
        BTF ids of ``bpf_rdonly_cast`` and of a struct that begins with a 64-bit number, 0 unknown.
    """
    if not (cast_id and type_id):
        return False
    code = b"".join(
        struct.pack("=BBhi", *words)
        for words in (
            (0xB7, 1, 0, 0),  # r1 = 0
            (0xB7, 2, 0, type_id),  # r2 = type
            (_CALL, _TO_KFUNC << 4, 0, cast_id),
            (0x79, 1, 0, 0),  # r1 = *(u64 *)(r0 + 0)
        )
    )
    try:
        with memory_unlimited():
            os.close(load_program("um_trial", code + _RETURN_0, ProgramType.RAW_TRACEPOINT))
    except OSError:
        return False
    return True


def long_loops() -> bool:
    """Whether this kernel has ``bpf_loop()``, for a function of the program."""
    number, _name = next(iter(STEPS.items()))
    calls = b"".join(
        struct.pack("=BBhi", *words)
        for words in (
            (0xB7, 1, 0, 1),  # r1 = 1
            (_LOAD_WORD, _FUNCTION << 4 | 2, 0, number),  # r2 = the step
            (0, 0, 0, 0),
            (0xB7, 3, 0, 0),  # r3 = 0
            (0xB7, 4, 0, 0),  # r4 = 0
            (_CALL, 0, 0, _BPF_LOOP),
        )
    )
    code, functions = with_steps(calls + _RETURN_0, lambda _name: _RETURN_0)
    kind = ProgramType.RAW_TRACEPOINT
    try:
        with memory_unlimited():
            os.close(load_program("um_trial", code, kind, functions=functions))
    except OSError:
        return False
    return True


def try_kprobe(function: str) -> None:
    """Make a kprobe event of our own and remove it; nothing is attached to it.

    Raises
    ------
    NoTierError, NotPermittedError
        As the kernel says.
    """
    with Tracefs() as tracefs, closing(KprobeEvents(tracefs)) as events:
        events.add(function, on_return=False)


def kprobes_work() -> bool:
    """Return whether a kprobe can be made on this kernel."""
    try:
        try_kprobe("path_umount")
    except UmtraceError:
        return False
    return True
