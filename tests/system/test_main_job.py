"""The main job on real umounts: what was done against what was recorded."""

from __future__ import annotations

import json

import pytest

from tests.system.umtrace_command import losses, outcome, record_exercise, rows_under, umtrace
from umtrace.model.umounts import PHASES

pytestmark = pytest.mark.kernel

EBUSY = 16


def check_phases(row):
    known = [row[phase] for phase in PHASES if row[phase] is not None]
    assert sum(known) == row["latency_ns"]
    assert all(ns >= 0 for ns in known)
    assert row["rcu_ns"] is None or 0 <= row["rcu_ns"] <= row["latency_ns"]


@pytest.mark.parametrize("run", range(5))
def test_known_counts_exactly(tmp_path, run):
    ledger = record_exercise(tmp_path / "r.umt", "--sync", 23, "--lazy", 11, "--busy", 7)
    rows = rows_under(tmp_path / "r.umt", ledger["root"])
    assert len(rows) == 41
    assert sum(row["mode"] == "sync" for row in rows) == 30
    assert sum(row["mode"] == "lazy" for row in rows) == 11
    assert sum(row["errno"] == EBUSY for row in rows) == 7
    assert all(row["complete"] for row in rows)
    assert outcome(rows) == outcome(ledger["umounts"])
    assert losses(tmp_path / "r.umt")["ring_events"] == 0
    for row in rows:
        check_phases(row)


@pytest.mark.parametrize("tasks", [8, 64])
def test_many_tasks_at_once(tmp_path, tasks):
    ledger = record_exercise(tmp_path / "r.umt", "--tasks", tasks, "--duration", 3)
    rows = rows_under(tmp_path / "r.umt", ledger["root"])
    assert len(rows) > tasks
    assert outcome(rows) == outcome(ledger["umounts"])
    assert all(row["complete"] for row in rows)
    lost = losses(tmp_path / "r.umt")
    assert (lost["ring_events"], lost["ring_names"], lost["task_map_full"]) == (0, 0, 0)


def test_the_shutdown_after_the_syscall_is_part_of_the_latency(tmp_path):
    ledger = record_exercise(tmp_path / "r.umt", "--sync", 1, "--files", 100_000)
    (row,) = rows_under(tmp_path / "r.umt", ledger["root"])
    (done,) = ledger["umounts"]
    assert row["syscall_ns"] < row["shutdown_ns"], "nearly all of it comes after the exit"
    # Both clocks are around the same call: a missing shutdown would leave some percent.
    assert 0.5 < row["latency_ns"] / done["latency_ns"] < 2


def test_walkers_make_ebusy_and_every_retry_is_a_row(tmp_path):
    ledger = record_exercise(tmp_path / "r.umt", "--sync", 50, "--walkers", 2)
    rows = rows_under(tmp_path / "r.umt", ledger["root"])
    assert outcome(rows) == outcome(ledger["umounts"])
    assert {row["errno"] for row in rows} <= {0, EBUSY}


def test_block_file_systems(tmp_path):
    ledger = record_exercise(tmp_path / "r.umt", "--sync", 3, "--lazy", 2, "--fstype", "ext4")
    rows = rows_under(tmp_path / "r.umt", ledger["root"])
    assert outcome(rows) == outcome(ledger["umounts"])
    assert all(row["final_put"] == "self" for row in rows), "the shutdown writes: it sleeps"


def test_namespaces_that_exit_are_seen_without_a_syscall(tmp_path):
    ledger = record_exercise(tmp_path / "r.umt", "--ns-exit", 20)
    done = umtrace("report", tmp_path / "r.umt", "--by", "origin,mntns", "--json")
    namespaces = {entry["mntns"] for entry in ledger["ns_exits"]}
    groups = json.loads(done.stdout)["groups"]
    seen = [
        g for g in groups if g["key"]["origin"] == "ns-exit" and g["key"]["mntns"] in namespaces
    ]
    # On a busy host a grace period can end before the task sleeps for it, and the end of a
    # namespace that never sleeps is not seen.
    assert 10 < sum(g["count"] for g in seen) <= 20
    assert all(g["rcu_ns"]["n"] <= g["count"] for g in seen)
    assert sum(g["rcu_ns"]["n"] for g in seen) > 10
