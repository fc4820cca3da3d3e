"""Kprobe events beside fprobe events: what one hit costs, entry and return.

Runs as root where dynamic events are allowed, in a kernel of the lab from 6.5 on; shares
hold there, times do not:

    python -m lab run 6.12 -- python bench/fprobe.py
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from umtrace.kernel.tracefs import Tracefs
from umtrace.sources import tracefs_control

ROUNDS, CALLS = 15, 20_000
INSTANCE = "instances/umtrace-bench"
FUNCTION = "__legitimize_mnt"  # once in every access(2) of a file; has a return value
KINDS = {
    "kprobe entry": ("kprobe_events", "p:um_bench/a {f} mnt=$arg1:x64"),
    "fprobe entry": ("dynamic_events", "f:um_bench/a {f} mnt=$arg1:x64"),
    "kprobe return": ("kprobe_events", "r4096:um_bench/a {f} ret=$retval:s32"),
    "fprobe return": ("dynamic_events", "f:um_bench/a {f}%return ret=$retval:s32"),
    "fprobe return, room 4096": ("dynamic_events", "f4096:um_bench/a {f}%return ret=$retval:s32"),
}  # fmt: skip


def best() -> float:
    """Return ns per access(2) of the fastest round."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            os.access("/etc/passwd", os.F_OK)
        times.append((time.perf_counter_ns() - began) / CALLS)
    return min(times)


def measure(tracefs: Tracefs, name: str, untraced: float) -> None:
    file, line = KINDS[name]
    try:
        tracefs_control.append(tracefs, file, line.format(f=FUNCTION) + "\n")
    except OSError as error:
        print(f"{name:<30} refused: {error.strerror}")
        return
    enable = f"{INSTANCE}/events/um_bench/a/enable"
    tracefs_control.write(tracefs, enable, "1")
    print(f"{name:<30} {best() - untraced:+8.0f} ns")
    tracefs_control.write(tracefs, enable, "0")
    time.sleep(0.2)
    tracefs_control.append(tracefs, "dynamic_events", "-:um_bench/a\n")


def main() -> None:
    with Tracefs() as tracefs:
        os.mkdir(INSTANCE, dir_fd=tracefs.fd)
        try:
            for _ in range(3):
                untraced = best()
                print(f"{'untraced':<30} {untraced:8.0f} ns a call")
                for name in KINDS:
                    measure(tracefs, name, untraced)
        finally:
            with suppress(OSError):
                os.rmdir(INSTANCE, dir_fd=tracefs.fd)


main()
