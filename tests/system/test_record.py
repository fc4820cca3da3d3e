"""`record` and `trace` as processes: how they end, what they leave, what survives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bpf_programs import bpf_program_ids
from tests.system.umtrace_command import (
    COMMAND,
    outcome,
    record_exercise,
    rows_under,
    start_recording,
    umtrace,
)
from umtrace.pipeline import offline
from umtrace.recording import Recording

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 127", 127), ("kill -9 $$", 137)]
)
def test_the_commands_exit_status_is_returned(tmp_path, script, status):
    done = umtrace("record", "-q", "-o", tmp_path / "r", "--", "sh", "-c", f"echo out; {script}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "")


def test_a_command_that_cannot_be_run(tmp_path):
    done = umtrace("record", "-q", "-o", tmp_path / "r", "--", "/no/such/thing")
    assert done.returncode == 2
    assert done.stderr == "umtrace: cannot run '/no/such/thing': not found, or not executable\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_the_summary(tmp_path, number):
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "record", "-o", str(tmp_path / "r"), "--ready-fd", str(write_end)],
        pass_fds=[write_end],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    with os.fdopen(read_end) as ready:
        ready.readline()
    process.send_signal(number)
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "losses: none" in err
    assert Recording.open(tmp_path / "r").meta.state == "closed"


def test_sigint_ignored_by_a_background_shell_still_ends_it(tmp_path):
    script = f"trap '' INT; exec {sys.executable} -m umtrace record -q -o {tmp_path}/r -d 60"
    process = subprocess.Popen(["sh", "-c", script])
    deadline = time.monotonic() + 20
    while not (tmp_path / "r" / "meta.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0


def test_a_closed_pipe_is_no_traceback():
    process = subprocess.Popen(
        [*COMMAND, "trace"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("TIME")
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_trace_prints_what_happens(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "trace", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "tracing" in process.stderr.readline()
    ledger = json.loads(umtrace("exercise", "--sync", "2", "--busy", "1", "--json").stdout)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=20)
    rows = [row for line in out.splitlines() if "event" not in (row := json.loads(line))]
    mine = [row for row in rows if (row["path"] or "").startswith(ledger["root"])]
    assert outcome(mine) == outcome(ledger["umounts"])


def test_replay_gives_exactly_the_recorded_rows(tmp_path):
    record_exercise(
        tmp_path / "r", "--sync", 20, "--lazy", 10, "--busy", 5, "--walkers", 1, "--ns-exit", 3
    )
    kept = Recording.open(tmp_path / "r").umounts().to_pylist()
    replayed = [
        r for tick in offline.replay(Recording.open(tmp_path / "r")) for r in tick.rows.to_pylist()
    ]
    assert replayed == kept


@pytest.mark.parametrize("run", range(5))
def test_kill_9_at_a_random_moment_loses_less_than_a_second(tmp_path, run):
    rec = tmp_path / "r"
    process = start_recording(rec)
    exercise = subprocess.Popen(
        [*COMMAND, "exercise", "--tasks", "2", "--duration", "5", "--json"], stdout=subprocess.PIPE
    )
    time.sleep(random.uniform(0.8, 3))
    killed_ns = time.time_ns()
    process.kill()
    process.communicate()
    ledger = json.loads(exercise.communicate()[0])
    old = killed_ns - 1_000_000_000
    due = [u for u in ledger["umounts"] if u["t_start_ns"] + u["latency_ns"] < old]
    for step in ("as it is", "repaired"):
        rows = rows_under(rec, ledger["root"])
        missing = outcome(due) - outcome(rows)
        assert not missing, f"{step}: {sum(missing.values())} of {len(due)} missing"
        assert umtrace("repair", rec).returncode == 0
    meta = Recording.open(rec).meta
    assert meta.state == "closed"
    replayed = [r for tick in offline.replay(Recording.open(rec)) for r in tick.rows.to_pylist()]
    assert replayed == Recording.open(rec).umounts().to_pylist()


def test_the_compiler_does_not_stay_in_the_recorders_memory(tmp_path):
    process = start_recording(tmp_path / "r")
    try:
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [Path(f"/proc/{pid}/cmdline").read_text() for pid in listed.split()]
    finally:
        process.terminate()
        process.communicate()
    assert "libarrow" in mapped
    assert "LLVM" not in mapped
    assert all("membarrier_child" in child for child in children), "it measures grace periods"
    assert len(children) <= 1


def kernel_state():
    mounts = Path("/proc/self/mountinfo").read_text()
    namespaces = {
        link.readlink() for link in Path("/proc").glob("[0-9]*/ns/mnt") if os.access(link, 4)
    }
    return mounts, namespaces


@pytest.mark.parametrize("how", ["normally", "killed"])
def test_the_kernel_is_as_it_was_afterwards(tmp_path, how):
    before = kernel_state()
    programs = bpf_program_ids()
    process = start_recording(tmp_path / "r")
    n_loaded = len(bpf_program_ids() - programs)
    assert n_loaded == 7, "five of the tier, and two for births of cgroups"
    assert kernel_state()[0] == before[0], "nothing is mounted while tracing"
    process.send_signal(signal.SIGINT if how == "normally" else signal.SIGKILL)
    process.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while bpf_program_ids() - programs and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel frees programs after a grace period
    assert not bpf_program_ids() - programs
    assert kernel_state()[0] == before[0]


def test_without_root():
    done = umtrace("record", "-o", "/tmp/never.umt", user="nobody")
    assert done.returncode == 3
    assert done.stderr == "umtrace: tracing needs root: run it with sudo\n"
    assert not Path("/tmp/never.umt").exists()


def test_a_directory_that_is_not_writable(tmp_path):
    done = umtrace("record", "-o", "/proc/x.umt")
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("umtrace: /proc")
    assert len(done.stderr.splitlines()) == 1
