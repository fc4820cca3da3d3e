"""What the ftrace-static tier costs who does not unmount: a system call, a context switch.

Run as root; prints nanoseconds, the best of several rounds:

    .venv/bin/python bench/gate.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from umtrace.sources.ftrace.static_source import StaticSource

ROUNDS, CALLS, SWITCHES = 20, 100_000, 5_000


def best(once: Callable[[], None], steps: int) -> float:
    """Return ns per step of the fastest round."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        once()
        times.append((time.perf_counter_ns() - began) / steps)
    return min(times)


def calls() -> None:
    for _ in range(CALLS):
        os.getppid()


def switches() -> None:
    """Pass a byte to a process and back, on one CPU."""
    there, back = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(there[1])
        while os.read(there[0], 1):
            os.write(back[1], b"x")
        os._exit(0)
    os.close(there[0])
    for _ in range(SWITCHES):
        os.write(there[1], b"x")
        os.read(back[0], 1)
    for fd in (there[1], *back):
        os.close(fd)
    os.waitpid(child, 0)


def measure(name: str) -> None:
    """Measure in a child: the recorder's own system calls are left out by the kernel."""
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        call, switch = best(calls, CALLS), best(switches, 2 * SWITCHES)
        print(f"{name:<28} {call:6.0f} ns a system call, {switch:6.0f} ns a switch")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    measure("not traced")
    source = StaticSource()
    source.open()
    measure("traced, nobody in umount")
    # One umount opens the gate; only the reader, which does not run here, closes it.
    exercise = [sys.executable, "-m", "umtrace", "exercise", "--sync", "1"]
    subprocess.run(exercise, check=True, stdout=subprocess.DEVNULL)
    measure("traced, somebody in umount")
    source.close()
    measure("not traced any more")


main()
