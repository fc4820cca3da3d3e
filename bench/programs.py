"""Runs and run time of each tracer's BPF programs, as the kernel counts them.

    sudo .venv/bin/python -m bench.programs

The kernel counts while a descriptor of BPF_ENABLE_STATS is open (since 5.8, d46edd671a14) and
stops when it is closed, also when this process dies. Counting costs two clock reads a run.
It counts all runs on the machine, those for other processes too.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.loops import Loops, scratch
from bench.tools import SYSCALLS, NotHereError, Tool, running
from umtrace.sources.bpf.bpf_syscall import (
    ProgramType,
    bpf,
    counters,
    load_program,
    object_info,
    open_raw_tracepoint,
)

_GET_FD_BY_ID, _ENABLE_STATS = 13, 32
_NAME_AT = 64
_RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")  # r0 = 0; exit
COUNTS = {"stat": 100_000, "umount": 2000}
Counted = dict[int, tuple[str, int, int]]  # id -> name, ns, runs


@contextmanager
def counting() -> Iterator[None]:
    """Let the kernel count the runs of all programs meanwhile."""
    fd = bpf(_ENABLE_STATS, struct.pack("=I", 0))
    try:
        yield
    finally:
        os.close(fd)


def held(pid: int) -> set[int]:
    """Return the ids of the programs that a process holds descriptors of, or links to."""
    found = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):
            found |= {int(n) for n in re.findall(r"^prog_id:\s+(\d+)", entry.read_text(), re.M)}
    return found


def read(programs: set[int]) -> Counted:
    """Return name, run time and runs of programs."""
    counted = {}
    for number in programs:
        with suppress(OSError):
            fd = bpf(_GET_FD_BY_ID, struct.pack("=I", number))
            info, _filled = object_info(fd, 232)
            name = info.raw[_NAME_AT : _NAME_AT + 16].rstrip(b"\0").decode(errors="replace")
            ns, runs, _misses = counters(fd)
            counted[number] = name, ns, runs
            os.close(fd)
    return counted


def empty(loops: Loops, wanted: int) -> dict[str, Any]:
    """Return what the kernel counts of a program that does nothing: the counting itself."""
    program = load_program("bench_empty", _RETURN_0, ProgramType.RAW_TRACEPOINT)
    link = open_raw_tracepoint(program, "sys_enter")
    try:
        done = loops.run("stat", wanted)["n"]
        ns, runs, _misses = counters(program)
    finally:
        os.close(link)
        os.close(program)
    name = "an empty program at sys_enter"
    each = {"runs_each": runs / done, "ns_a_run": ns / max(runs, 1), "ns_each": ns / done}
    return {"tool": name, "loop": "stat", "program": "bench_empty", **each}


def measure(tools: Sequence[Tool], loop_counts: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield a row per tool, loop and program: runs an iteration, ns a run."""
    with scratch() as name, counting():
        loops = Loops(Path(name))
        yield empty(loops, COUNTS["stat"])
        for place, tool in enumerate(tools):
            with suppress(NotHereError), running(tool, Path(name) / str(place)) as tracer:
                own = held(tracer.process.pid)
                for loop, wanted in loop_counts.items():
                    start = read(own)
                    done = loops.run(loop, wanted)["n"]
                    for number, (program, ns, runs) in read(own).items():
                        _, ns_before, runs_before = start.get(number, (program, 0, 0))
                        ran = runs - runs_before
                        yield {
                            "tool": tool.name, "loop": loop, "program": program,
                            "runs_each": ran / done, "ns_a_run": (ns - ns_before) / max(ran, 1),
                            "ns_each": (ns - ns_before) / done,
                        }  # fmt: skip


def main() -> None:
    for row in measure(SYSCALLS, COUNTS):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
