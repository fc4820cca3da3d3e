"""Real umounts: what the ledger says, beside what can be seen without it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

OWN_NAMESPACE = Path("/proc/self/ns/mnt")

#: Runs an exercise and prints, per umount, how many mounts its namespace lost in the call.
COUNT_LOST = """
import json
from umtrace.exercise.config import ExerciseConfig
from umtrace.exercise.namespace import count_mounts
from umtrace.exercise.run import run
from umtrace.exercise.stage import Stage

umount, lost = Stage.umount, []

def counted(self, *args, **kwargs):
    before = count_mounts()
    failed = umount(self, *args, **kwargs)
    lost.append(before - count_mounts())
    return failed

Stage.umount = counted
ledger = run(ExerciseConfig(sync=2, lazy=2, propagate=50, busy=2))
print(json.dumps([lost, [call.n_mounts for call in ledger.umounts]]))
"""


def test_exact_counts(exercise):
    begin = time.time_ns()
    ledger = exercise("--sync 23 --lazy 11 --busy 7")
    totals = ledger.totals()
    assert totals["calls"] == 41
    assert totals["by_mode_errno"] == {"sync": {"0": 23, "16": 7}, "lazy": {"0": 11}}
    assert totals["by_teardown"] == {"exit": 0, "setns": 1}
    calls = list(ledger.umounts)
    assert len({call.path for call in calls}) == 41
    assert all(call.path.startswith(ledger.root + "/") for call in calls)
    assert {(call.pid, call.tid, call.mntns) for call in calls} == {
        (ledger.pid, ledger.pid, ledger.mntns)
    }
    assert ledger.mntns != OWN_NAMESPACE.stat().st_ino
    starts = [call.t_start for call in calls]
    assert starts == sorted(starts)
    assert begin < starts[0] < starts[-1] < time.time_ns()


def test_the_whole_process_tree_makes_no_other_umount_call(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: apt-get install strace")
    log = tmp_path / "strace"
    trace = ["strace", "-f", "-o", log, "-e", "trace=umount2,umount,setns,unshare"]
    script = "from umtrace.cli import main; main()"
    options = ["--sync", "23", "--lazy", "11", "--busy", "7"]
    subprocess.run(
        [*trace, sys.executable, "-c", script, "exercise", *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seen = re.findall(r"(\w+)\((?:.*, )?(\w+)\) += (-?\d+)", log.read_text())
    assert Counter(seen) == {
        ("umount2", "0", "0"): 23,
        ("umount2", "0", "-1"): 7,
        ("umount2", "MNT_DETACH", "0"): 11,
        ("unshare", "CLONE_NEWNS", "0"): 1,
        ("setns", "CLONE_NEWNS", "0"): 1,
    }


def test_every_call_takes_down_as_many_mounts_as_the_ledger_says():
    done = subprocess.run(
        [sys.executable, "-c", COUNT_LOST], capture_output=True, text=True, check=True
    )
    lost, claimed = json.loads(done.stdout)
    assert lost == claimed == [1, 1, 1, 1, 51, 0, 0]


def test_a_thousand_propagated_copies_go_in_one_call(exercise):
    ledger = exercise("--propagate 1000")
    assert [(call.errno, call.n_mounts) for call in ledger.umounts] == [(0, 1001)]


def test_namespaces_end_by_exiting_tasks(exercise):
    ledger = exercise("--ns-exit 5")
    assert len(ledger.umounts) == 0
    assert ledger.totals()["by_teardown"] == {"exit": 5, "setns": 1}
    assert len({end.pid for end in ledger.ns_exits}) == 5
    assert [end.comm for end in ledger.ns_exits] == [f"umt-ns-{n}" for n in range(5)]
    # A copy of the exercise's namespace and two mounts more.
    assert {end.n_mounts for end in ledger.ns_exits} == {ledger.teardown.n_mounts + 2}
    assert ledger.mntns not in {end.mntns for end in ledger.ns_exits}


def test_busy_mounts_go_with_the_namespace(exercise):
    none, seven = exercise("--sync 1").teardown, exercise("--busy 7").teardown
    assert seven.n_mounts == none.n_mounts + 7


def test_walkers_make_umounts_busy_until_a_retry_succeeds(exercise):
    ledger = exercise("--sync 100 --walkers 2")
    attempts: dict[str, list[tuple[int, int]]] = {}
    for call in ledger.umounts:
        attempts.setdefault(call.path, []).append((call.retry, call.errno))
    assert len(attempts) == 100
    for tries in attempts.values():
        busy = [(number, errno.EBUSY) for number in range(len(tries) - 1)]
        assert tries == [*busy, (len(tries) - 1, 0)]
    assert ledger.totals()["by_errno"]["16"] > 0
    assert ledger.walks > 100


def test_tasks_log_every_call(exercise):
    ledger = exercise("--tasks 4 --duration 0.3")
    modes = Counter((call.comm, call.mode) for call in ledger.umounts)
    assert set(modes) == {(f"umt-task-{n}", mode) for n in range(4) for mode in ("sync", "lazy")}
    for number in range(4):
        comm = f"umt-task-{number}"
        assert modes[comm, "sync"] - modes[comm, "lazy"] in (0, 1)
    assert ledger.totals()["mounts_gone"] == len(ledger.umounts)
    assert len({call.pid for call in ledger.umounts} | {ledger.pid}) == 5


def test_a_held_file_keeps_a_detached_mount(exercise):
    ledger = exercise("--lazy 2 --hold 30ms")
    assert all(call.tail_ns >= 30_000_000 for call in ledger.umounts)


def test_the_shutdown_of_many_files_is_in_the_latency(exercise):
    empty = min(call.latency_ns for call in exercise("--sync 5").umounts)
    full = min(call.latency_ns for call in exercise("--sync 3 --files 20000").umounts)
    assert full > 3 * empty


@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_file_systems_on_loop_devices(exercise, fstype):
    if shutil.which(f"mkfs.{fstype}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip(f"mkfs.{fstype} is missing")
    ledger = exercise(f"--fstype {fstype} --sync 3 --lazy 2 --busy 1 --propagate 5 --files 50")
    assert ledger.totals()["by_mode_errno"] == {"sync": {"0": 4, "16": 1}, "lazy": {"0": 2}}
    assert ledger.totals()["mounts_gone"] == 5 + 6


def test_the_caller_is_back_where_it_was():
    script = """
import os
from umtrace.exercise.config import ExerciseConfig
from umtrace.exercise.run import run
where = lambda: (os.readlink("/proc/self/ns/mnt"), os.getcwd(), os.listdir("/proc/self/fd"))
before = where()
for _ in range(2):
    run(ExerciseConfig(sync=1, busy=1, ns_exit=1, tasks=1, duration_s=0.01))
assert where() == before, (before, where())
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd="/usr")
