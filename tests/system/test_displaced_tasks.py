"""Two tasks that share a place in the array of tasks: each keeps its own operations."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.system.umtrace_command import losses, rows_under, start_recording

SLOTS = 16384  # UM_TASK_SLOTS in bpf/tasks.h
UMOUNTS = 300
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
LOOP = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
path = sys.argv[1].encode()
sys.stdin.readline()
for _ in range({UMOUNTS}):
    assert libc.mount(b"displaced", path, b"tmpfs", 0, None) == 0
    assert libc.umount2(path, 0) == 0
"""


def with_pid(pid, path):
    """Start the loop as a process of this pid, which others may take meanwhile: then None."""
    LAST_PID.write_text(str(pid - 1))
    process = subprocess.Popen([sys.executable, "-c", LOOP, path], stdin=subprocess.PIPE)
    if process.pid == pid:
        return process
    process.communicate()
    return None


def pair(directory):
    """Two processes whose ids are SLOTS apart, and which wait for a line."""
    for pid in range(2000, 2400):
        if Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid + SLOTS}").exists():
            continue
        first = with_pid(pid, str(directory / "first"))
        second = first and with_pid(pid + SLOTS, str(directory / "second"))
        if second:
            return first, second
        if first:
            first.communicate()
    pytest.fail("no two processes with the ids that were asked for")


@pytest.mark.kernel
def test_tasks_of_one_slot_at_once(tmp_path):
    if str(Path("/proc/self/ns/pid").readlink()) != "pid:[4026531836]":
        pytest.skip("a pid namespace of its own: these are not the ids that the kernel uses")
    if int(Path("/proc/sys/kernel/pid_max").read_text()) < 2 * SLOTS:
        pytest.skip("pid_max is too small for two tasks of one slot")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    recording = tmp_path / "displaced.umt"
    tracer = start_recording(recording, "--tier", "tracepoint")
    processes = pair(tmp_path)
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0]
    tracer.send_signal(signal.SIGINT)
    assert tracer.communicate(timeout=30)[1] == ""
    assert tracer.returncode == 0
    assert losses(recording)["task_map_full"] == 0
    rows = rows_under(recording, tmp_path)
    assert [row for row in rows if not row["complete"]] == []
    tasks = Counter((Path(row["path"]).name, row["tid"]) for row in rows)
    assert tasks == {("first", processes[0].pid): UMOUNTS, ("second", processes[1].pid): UMOUNTS}
