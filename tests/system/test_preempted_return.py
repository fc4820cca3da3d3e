"""Teardowns whose task is preempted on the way out, before the task work that shuts down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.system.umtrace_command import start_recording, umtrace

TEARDOWNS = 60
#: the task is busy so long after each one, without a system call
BUSY_NS = 5_000_000
#: CPU time at most that the call uses before it is seen, which for a namespace is in its first wait
UNSEEN_NS = {"umount": 150_000, "setns": 1_000_000}
#: by which the wall clock of the recording and that of the loop may differ
CLOCKS_NS = 1_000_000
#: Takes trees down, whose mounts are put after the wait, so that a wake-up meets the end of the
#: call. The file system takes a while to shut down. Prints when each call began, and
#: what it used of two clocks.
LOOP = f"""
import ctypes, json, os, sys, time
path, cpu, how = os.fsencode(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.sched_setaffinity(0, {{cpu}})
libc = ctypes.CDLL(None, use_errno=True)
home, found = os.open("/proc/self/ns/mnt", os.O_RDONLY), []

def leave():
    assert libc.unshare(0x20000) == 0
    assert libc.mount(b"none", b"/", None, 0x44000, None) == 0

if how == "umount":
    leave()
for _ in range({TEARDOWNS}):
    if how == "setns":
        leave()
    assert libc.mount(b"preempted", path, b"tmpfs", 0, None) == 0
    for name in range(1000):
        os.close(os.open(path + b"/%d" % name, os.O_CREAT))
    os.mkdir(path + b"/tree")
    for _ in range(500):
        assert libc.mount(b"/proc", path + b"/tree", None, 0x1000, None) == 0
    begin, wall, cpu = time.time_ns(), time.monotonic_ns(), time.thread_time_ns()
    assert (libc.umount2(path, 2) if how == "umount" else libc.setns(home, 0x20000)) == 0
    cpu, wall = time.thread_time_ns() - cpu, time.monotonic_ns() - wall
    until = time.monotonic_ns() + {BUSY_NS}
    while time.monotonic_ns() < until:
        pass
    found.append((begin, wall, cpu))
print(json.dumps([os.getpid(), found]))
"""
#: wakes up again and again, and preempts the loop at once
DISTURB = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
print("ready", flush=True)
while True:
    time.sleep(0.0001)
"""


@contextmanager
def disturbed(cpu):
    command = [sys.executable, "-c", DISTURB, cpu]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            if process.stdout.readline() != b"ready\n":
                pytest.skip("a real-time priority is refused here")
            yield
        finally:
            process.kill()


def rows_of(recording, tid):
    exported = umtrace("export", recording, "--to", "jsonl").stdout
    return [row for row in map(json.loads, exported.splitlines()) if row["tid"] == tid]


def row_of(rows, begin, wall):
    """The row of the call that lasted so long; None if it never slept, and so was not seen."""
    within = [row for row in rows if begin - CLOCKS_NS <= row["t_start_ns"] <= begin + wall]
    assert len(within) <= 1, within
    return within[0] if within else None


@pytest.mark.kernel
@pytest.mark.parametrize("how", ["umount", "setns"])
def test_a_shutdown_is_never_recorded_too_short(tmp_path, how):
    (tmp_path / "mnt").mkdir()
    recording = tmp_path / "preempted.umt"
    cpu = str(min(os.sched_getaffinity(0)))
    tracer = start_recording(recording, "--tier", "tracepoint")
    try:
        with disturbed(cpu):
            loop = [sys.executable, "-c", LOOP, str(tmp_path / "mnt"), cpu, how]
            tid, found = json.loads(subprocess.check_output(loop, timeout=120))
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
    rows = rows_of(recording, tid)
    each = [(row_of(rows, begin, wall), wall, used) for begin, wall, used in found]
    # On a busy host the grace period can be over before the task sleeps for it.
    least = TEARDOWNS if how == "umount" else TEARDOWNS * 3 // 4
    each = [(row, wall, used) for row, wall, used in each if row is not None]
    assert least <= len(each) <= TEARDOWNS
    assert all(row["complete"] for row, _, _ in each)
    latencies = [(row["latency_ns"], wall, used) for row, wall, used in each]
    assert [one for one in latencies if one[0] < one[2] - UNSEEN_NS[how]] == []
    # The preemption in user mode shows the end long before the next system call does.
    late = [ns - wall_ns for ns, wall_ns, _ in latencies if ns > wall_ns + BUSY_NS / 2]
    assert len(late) < TEARDOWNS / 4, late
