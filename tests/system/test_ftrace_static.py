"""The ftrace tier where dynamic events are refused, on the running kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tests.system.umtrace_command import COMMAND, start_recording, umtrace
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import UmtraceError
from umtrace.sources.ftrace.static_source import StaticSource

pytestmark = pytest.mark.kernel

TIER = "ftrace-static"
ENTER = "events/syscalls/sys_enter_umount/enable"
KNOBS = ("trace_clock", "tracing_on", "buffer_size_kb", "set_event", "current_tracer")
GATED = ("sched/sched_switch", "raw_syscalls/sys_enter", "syscalls/sys_enter_umount",
         "syscalls/sys_exit_umount")  # fmt: skip


@cache
def top():
    """The root of tracefs, which the host need not have mounted."""
    return Path(f"/proc/{os.getpid()}/fd/{Tracefs().fd}")


def exported(path):
    lines = umtrace("export", path, "--to", "jsonl").stdout.splitlines()
    return [json.loads(line) for line in lines]


def exercise(*workload):
    return json.loads(umtrace("exercise", "--json", *workload).stdout)


def beside(path, tier, *workload):
    """Record with this tier and the tracepoint tier at once; both rows of the same umounts."""
    paths = {name: path / f"{name}.umt" for name in (tier, "tracepoint")}
    running = [start_recording(place, "--tier", name) for name, place in paths.items()]
    ledger = exercise(*workload)
    for process in running:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.stderr.close()
    tasks = {umount["tid"] for umount in ledger["umounts"]}
    found = [[r for r in exported(p) if r["tid"] in tasks and r["origin"] == "umount"]
             for p in paths.values()]  # fmt: skip
    return ledger, *(sorted(rows, key=lambda row: (row["tid"], row["t_start"])) for rows in found)


_SPIN = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"


@contextmanager
def no_idle_cpu():
    """Keep every CPU busy with a task of the lowest priority.

    Some virtual machines do not record the context switches of one CPU's idle task in tracefs (nor
    in perf), so the end of a wait is unknown whenever that CPU was idle.
    """
    busy = [
        subprocess.Popen(["taskset", "-c", str(cpu), sys.executable, "-c", _SPIN])
        for cpu in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_the_same_umounts_and_waits_as_the_tracepoint_tier(tmp_path):
    work = ("--sync", 40, "--lazy", 20, "--busy", 5)
    with no_idle_cpu():
        ledger, mine, theirs = beside(tmp_path, TIER, *work)
    assert len(mine) == len(ledger["umounts"]) == 65
    for column in ("mode", "flags", "errno", "pid", "comm", "cgroup_id", "origin", "complete"):
        assert [r[column] for r in mine] == [r[column] for r in theirs], column
    both = [(a, b) for a, b in zip(mine, theirs, strict=True) if a["rcu_ns"] and b["rcu_ns"]]
    assert both  # how many: a grace period that is over at once has no wait to see
    assert [a["rcu_kind"] for a, _ in both] == [b["rcu_kind"] for _, b in both]
    assert {row["path"] for row in mine} == {None} or [r["path"] for r in mine] == [
        r["path"] for r in theirs
    ]


def test_many_tasks_at_once(tmp_path):
    process = start_recording(tmp_path / "r.umt", "--tier", TIER)
    ledger = exercise("--tasks", 16, "--duration", 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    process.stderr.close()
    key = lambda row: (row["tid"], row["mode"], row["errno"])  # noqa: E731
    done = Counter(map(key, ledger["umounts"]))
    tasks = {tid for tid, _mode, _errno in done}
    seen = [row for row in exported(tmp_path / "r.umt") if row["tid"] in tasks]
    meta = json.loads((tmp_path / "r.umt" / "meta.json").read_text())
    whole = Counter(key(r) for r in seen if r["complete"] and r["origin"] == "umount")
    assert whole - done == Counter()
    if not meta["losses"]["ring_events"]:
        assert whole == done


def test_it_stands_in_for_ftrace_and_says_why(tmp_path):
    done = umtrace("record", "--tier", "ftrace", "-d", 0, "-o", tmp_path / "r.umt")
    assert done.returncode == 0
    meta = json.loads((tmp_path / "r.umt" / "meta.json").read_text())
    if meta["tier"] == "ftrace":
        pytest.skip("this kernel allows dynamic events: nothing stands in")
    assert meta["tier"] == TIER
    (why,) = [line["reason"] for line in meta["plan"] if line["meaning"] == "tier ftrace"]
    assert f"tier {TIER} instead: {why.removeprefix('not used: ')}" in done.stderr
    findings = json.loads(umtrace("doctor", "--json").stdout)
    (tier,) = [tier for tier in findings["tiers"] if tier["tier"] == "ftrace"]
    assert tier["works"]
    assert tier["reason"].startswith(f"attaches as {TIER}: ")


def test_what_a_killed_run_left_is_gone_in_a_moment(tmp_path):
    before = knobs()
    process = start_recording(tmp_path / "r.umt", "--tier", TIER)
    assert len(instances_of(process)) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while instances_of(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert instances_of(process) == []
    assert knobs() == before


def test_any_tier_removes_what_is_left_and_nothing_else(tmp_path):
    others = ("umtrace-theirs", "umtrace-1-0123456789ab-mine")
    made = [top() / "instances" / name for name in (*others, "umtrace-1-0123456789ab")]
    for path in made:
        path.mkdir()
    living = start_recording(tmp_path / "living.umt", "--tier", TIER)
    try:
        mine = instances_of(living)
        assert not made[-1].exists()
        made[-1].mkdir()
        done = umtrace("record", "--tier", "tracepoint", "-d", 0, "-o", tmp_path / "r.umt")
        assert done.returncode == 0, done.stderr
        assert len(mine) == 2
        assert {path.name for path in made if path.exists()} == set(others)
        assert instances_of(living) == mine
    finally:
        living.send_signal(signal.SIGINT)
        living.communicate()
        for path in made:
            with suppress(FileNotFoundError):
                path.rmdir()


def test_a_start_in_another_pid_namespace_leaves_a_live_tracer_alone(tmp_path):
    process = start_recording(tmp_path / "r.umt", "--tier", TIER)
    before = instances_of(process)
    alone = ("unshare", "--pid", "--fork", "--mount-proc")
    second = [*COMMAND, "record", "-q", "--tier", TIER, "-d", "0.2", "-o", tmp_path / "second.umt"]
    subprocess.run([*alone, *second], check=True)
    clean_up = "from umtrace.diagnosis import clean_up; print(clean_up())"
    cleaned = subprocess.check_output([*alone, sys.executable, "-c", clean_up], text=True)
    assert cleaned == "[]\n"
    assert instances_of(process) == before
    assert before[0].joinpath(ENTER).read_text() == "1\n"
    assert seen_until_now(process, tmp_path / "r.umt") == (5, {})


def test_what_another_program_switches_off_is_a_loss_and_on_again(tmp_path):
    process = start_recording(tmp_path / "r.umt", "--tier", TIER)
    instances_of(process)[0].joinpath("events/enable").write_text("0")
    time.sleep(1)
    seen, misses = seen_until_now(process, tmp_path / "r.umt")
    assert seen == 5
    assert "sys_enter_umount (switched off by another program)" in misses
    assert set(misses.values()) == {1}


def seen_until_now(process, path):
    """Unmount five times, end the recording; how many it saw, and what it missed."""
    ledger = exercise("--sync", 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    process.stderr.close()
    tasks = {umount["tid"] for umount in ledger["umounts"]}
    meta = json.loads((path / "meta.json").read_text())
    seen = [row for row in exported(path) if row["tid"] in tasks and row["complete"]]
    return len(seen), meta["losses"]["probe_misses_by"] or {}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_a_selftest_that_leaves_nothing(number):
    # A signal that is ignored where the tests run, as under nohup, stays ignored.
    command = ["env", "--default-signal=HUP,TERM", *COMMAND, "selftest", "--tier", TIER]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(instances_of(process)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _out, said = process.communicate(timeout=60)
    assert instances_of(process) == []
    assert (process.returncode, said) == (128 + number, f"umtrace: stopped by {number.name}\n")


def test_buffers_that_the_kernel_refuses_leave_no_instance():
    source = StaticSource(buffer_kb=1 << 50)
    with closing(source), pytest.raises(UmtraceError, match="buffer_size_kb"):
        source.open()
    assert list(top().joinpath("instances").glob(f"umtrace-{os.getpid()}-*")) == []


def instances_of(process):
    """Return a recorder's instances, the gated one last."""
    return sorted(top().joinpath("instances").glob(f"umtrace-{process.pid}-*"))


def knobs():
    """Return the knobs of the top-level buffer."""
    names = [
        *KNOBS,
        *(f"events/{e}/{file}" for e in GATED for file in ("enable", "filter", "trigger")),
    ]
    return {name: top().joinpath(name).read_text() for name in names}


def test_the_selftest_is_exact():
    done = umtrace("selftest", "--tier", TIER)
    assert done.returncode == 0, done.stdout


def test_a_buffer_too_small_marks_what_it_cost(tmp_path):
    ledger_file = tmp_path / "ledger"
    source = StaticSource(buffer_kb=64)
    source.open()
    correlator = UmountCorrelator(clock_offset_ns=0, tier=TIER)
    with closing(source), ledger_file.open("wb") as out:
        work = [*COMMAND, "exercise", "--json", "--tasks", "8", "--duration", "2"]
        running = subprocess.Popen(work, stdout=out)
        batches = []
        while running.poll() is None:
            time.sleep(0.2)
            batches.append(source.read(0.001))
        batches.append(source.read(0))
        lost = source.losses()
    seen = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    seen += correlator.finish().to_pylist()
    ledger = json.loads(ledger_file.read_text())
    key = lambda row: (row["tid"], row["mode"], row["errno"])  # noqa: E731
    done = Counter(map(key, ledger["umounts"]))
    tasks = {tid for tid, _mode, _errno in done}
    whole = [r for r in seen if r["complete"] and r["tid"] in tasks and r["origin"] == "umount"]
    assert lost.ring_events == sum(lost.ring_events_per_cpu) > 0
    assert Counter(map(key, whole)) - done == Counter()
    assert 0 < len(whole) < done.total()
    assert all(0 < (row["rcu_ns"] or 1) <= row["syscall_ns"] for row in whole)
    who = {umount["tid"]: umount for umount in ledger["umounts"]}
    for column in ("pid", "comm"):  # its birth or its name may be lost, and is never made up
        assert {row[column] for row in whole if row[column] != who[row["tid"]][column]} <= {None}
