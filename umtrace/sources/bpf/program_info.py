"""What the kernel says of a loaded BPF program (struct bpf_prog_info)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress

from umtrace.sources.bpf.bpf_syscall import object_info

_INFO_BYTES = 232
# run_time_ns, run_cnt, recursion_misses follow each other; the last came with 5.12,
# 9ed9e9ba2337 ("bpf: Count the number of times recursion was prevented").
_COUNTERS = struct.Struct("=QQQ")
_COUNTERS_AT = 192


def counters(program_fd: int) -> tuple[int, int, int | None]:
    """Return run time in ns, runs, and missed runs (None on kernels without the count).

    Run time and runs stay 0 unless kernel.bpf_stats_enabled is set.
    """
    info, filled = object_info(program_fd, _INFO_BYTES)
    run_time, runs, misses = _COUNTERS.unpack_from(info, _COUNTERS_AT)
    has_misses = filled >= _COUNTERS_AT + _COUNTERS.size
    return run_time, runs, misses if has_misses else None


def recursion_misses(programs: Mapping[str, int]) -> dict[str, int] | None:
    """Return how often the kernel skipped each program; None where it does not count.

    Parameters
    ----------
    programs : mapping
        Name to descriptor.
    """
    found: dict[str, int] = {}
    for name, fd in programs.items():
        with suppress(OSError, KeyError):
            misses = counters(fd)[2]
            if misses is not None:
                found[name] = misses
    return found or None
