"""Mount namespaces that end without the exit of a process: seen, or said to be lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.system.umtrace_command import losses, start_recording, umtrace

pytestmark = pytest.mark.kernel

ROUNDS = 10
#: ends namespaces of its own; prints how many, and its name is how
ENDING = """
import ctypes, os, sys
libc, how, rounds = ctypes.CDLL(None, use_errno=True), sys.argv[1], int(sys.argv[2])
libc.prctl(15, how.encode(), 0, 0, 0)
home = os.open("/proc/self/ns/mnt", os.O_RDONLY)

def done(result):
    assert result == 0, os.strerror(ctypes.get_errno())

def namespace_of_a_child():
    up, down = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        done(libc.unshare(0x20000))
        os.write(up[1], b"x")
        os.read(down[0], 1)
        os._exit(0)
    os.read(up[0], 1)
    held = os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY)
    os.write(down[1], b"x")
    os.waitpid(child, 0)
    return held

for _ in range(rounds):
    if how == "um-close":
        os.close(namespace_of_a_child())
    done(libc.unshare(0x20000))
    if how == "um-unshare":
        done(libc.unshare(0x20000))
    done(libc.setns(home, 0x20000))
print(rounds * (1 if how == "um-setns" else 2))
"""


@pytest.mark.parametrize("how", ["um-close", "um-setns", "um-unshare"])
@pytest.mark.parametrize("tier", ["tracepoint", "ftrace-static"])
def test_a_namespace_that_ends_without_an_exit(tmp_path, tier, how):
    recording = tmp_path / "r.umt"
    process = start_recording(recording, "--tier", tier)
    command = [sys.executable, "-c", ENDING, how, ROUNDS]
    ended = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=60
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert ended.returncode == 0, ended.stderr
    plan = json.loads((recording / "meta.json").read_text())["plan"]
    (line,) = [step for step in plan if step["meaning"] == "other namespace ends"]
    if line["state"] == "lost":
        assert tier == "ftrace-static"
        return
    done = umtrace("export", recording, "--to", "jsonl", "--comm", how)
    rows = [row for row in map(json.loads, done.stdout.splitlines()) if row["origin"] == "ns-exit"]
    lost = losses(recording)
    assert (lost["ring_events"], lost["task_map_full"]) == (0, 0)
    assert all(row["complete"] and row["latency_bound"] == "approx" for row in rows)
    # On a busy host a row can begin with a wait for the lock, and not wait for the grace period.
    waits = [row for row in rows if row["rcu_ns"] is not None]
    assert all(0 < row["rcu_ns"] <= row["latency_ns"] for row in waits)
    assert len(waits) > len(rows) // 2
    # What waits for nothing is not seen, here as at an exit.
    assert ROUNDS // 2 < len(rows) <= int(ended.stdout)
