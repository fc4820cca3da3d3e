"""Tests in milliseconds whether the kernel refuses a function tier, before it is compiled."""

from __future__ import annotations

import os
import struct
from contextlib import closing

from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import UmtraceError
from umtrace.sources.bpf.bpf_object import memory_unlimited, refused
from umtrace.sources.bpf.bpf_syscall import AttachType, ProgramType, load_program
from umtrace.sources.kprobe_events import KprobeEvents

_CALL, _TO_KFUNC = 0x85, 2  # BPF_JMP | BPF_CALL, BPF_PSEUDO_KFUNC_CALL
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
