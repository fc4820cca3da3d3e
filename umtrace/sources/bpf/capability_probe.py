"""Tests in milliseconds whether the kernel refuses a function tier, before it is compiled."""

from __future__ import annotations

import os
from contextlib import closing

from umtrace.kernel.tracefs import Tracefs
from umtrace.sources.bpf.bpf_object import memory_unlimited, refused
from umtrace.sources.bpf.bpf_syscall import AttachType, ProgramType, load_program
from umtrace.sources.kprobe_events import KprobeEvents

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


def try_kprobe(function: str) -> None:
    """Make a kprobe event of our own and remove it; nothing is attached to it.

    Raises
    ------
    NoTierError, NotPermittedError
        As the kernel says.
    """
    with Tracefs() as tracefs, closing(KprobeEvents(tracefs)) as events:
        events.add(function, on_return=False)
