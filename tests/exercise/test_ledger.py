from __future__ import annotations

import errno
import json

from tests.exercise.ledgers import read_ledger
from umtrace.exercise.calls import ROW, Actor, CallLog
from umtrace.exercise.ledger import Ledger, Teardown
from umtrace.exercise.summary import summary
from umtrace.exercise.syscalls import MNT_DETACH
from umtrace.model.clock import ClockPair

ACTOR = Actor(pid=7, tid=8, comm="umt-task-0", mntns=4026532177)
ROOT = "/tmp/umtrace-exercise-7-x"


def log_of(*calls: tuple[str, int, int, int]) -> CallLog:
    log = CallLog()
    for number, (scenario, flags, failed, n_mounts) in enumerate(calls):
        context = log.context(f"{ROOT}/{scenario}/{number}", scenario, ACTOR)
        start = 1_700_000_000_000_000_000 + number
        log.add(
            context, t_start=start, latency_ns=5000, errno=failed, flags=flags, n_mounts=n_mounts
        )
    return log


def a_ledger(log: CallLog) -> Ledger:
    ledger = Ledger(
        root=ROOT,
        mntns=ACTOR.mntns,
        pid=ACTOR.pid,
        kernel="6.18.0",
        clock=ClockPair(1, 2),
        config={"sync": 2},
        umounts=log,
    )
    ledger.ns_exits = [an_end("exit"), an_end("exit")]
    ledger.teardown = an_end("setns")
    return ledger


def an_end(how: str) -> Teardown:
    return Teardown(
        how=how, mntns=1, pid=2, tid=2, comm="umt-ns-0", t_start=3, latency_ns=4, n_mounts=5
    )


CALLS = (
    ("sync", 0, 0, 1),
    ("sync", 0, errno.EBUSY, 0),
    ("lazy", MNT_DETACH, 0, 1),
    ("propagate", 0, 0, 51),
)


def test_totals_by_mode_errno_and_origin():
    totals = a_ledger(log_of(*CALLS)).totals()
    assert totals["calls"] == 4
    assert totals["by_mode"] == {"sync": 3, "lazy": 1}
    assert totals["by_errno"] == {"0": 3, "16": 1}
    assert totals["by_mode_errno"] == {"sync": {"0": 2, "16": 1}, "lazy": {"0": 1}}
    assert totals["by_origin"] == {"umount": 4, "ns-exit": 3}
    assert totals["by_teardown"] == {"exit": 2, "setns": 1}
    assert totals["mounts_gone"] == 53


def test_json_there_and_back():
    ledger = a_ledger(log_of(*CALLS))
    ledger.umounts.end_tail(1_700_000_000_000_000_003 + 5000 + 70)
    ledger.interrupted_by, ledger.notes = 15, ["a note"]
    text = ledger.to_json()
    back = read_ledger(text)
    assert back.to_json() == text
    assert list(back.umounts) == list(ledger.umounts)
    assert [call.tail_ns for call in back.umounts] == [None, None, None, 70]
    assert (back.teardown, back.ns_exits) == (ledger.teardown, ledger.ns_exits)


def test_json_has_the_documented_shape():
    raw = json.loads(a_ledger(log_of(*CALLS)).to_json())
    assert raw["version"] == 2
    assert (raw["root"], raw["pid"], raw["mntns"]) == (ROOT, 7, ACTOR.mntns)
    assert raw["umounts"][1] == {
        "path": f"{ROOT}/sync/1",
        "scenario": "sync",
        "mode": "sync",
        "flags": 0,
        "errno": 16,
        "pid": 7,
        "tid": 8,
        "comm": "umt-task-0",
        "mntns": ACTOR.mntns,
        "t_start": "2023-11-14T22:13:20.000000001Z",
        "t_start_ns": 1_700_000_000_000_000_001,
        "latency_ns": 5000,
        "tail_ns": None,
        "origin": "umount",
        "n_mounts": 0,
        "retry": 0,
    }
    assert raw["teardown"]["how"] == "setns"
    assert raw["teardown"]["origin"] == "ns-exit"


def test_an_empty_run_is_a_ledger_too():
    empty = read_ledger(a_ledger(CallLog()).to_json())
    assert len(empty.umounts) == 0
    assert empty.totals()["by_errno"] == {}


def test_half_a_row_is_dropped():
    log = log_of(*CALLS)
    whole = bytes(log.rows)
    log.extend(whole + b"\0" * (ROW.size - 1))
    assert len(log) == 8
    assert list(log)[4:] == list(log)[:4]


def test_contexts_are_shared():
    log = CallLog()
    first = log.context("/a", "tasks", ACTOR)
    assert log.context("/a", "tasks", ACTOR) == first
    assert log.context("/b", "tasks", ACTOR) != first
    assert len(log.contexts) == 2


def test_summary_fits_80_columns():
    ledger = a_ledger(log_of(*CALLS * 1000))
    ledger.kernel, ledger.walks = "6.18.0-" + "x" * 80, 10
    lines = list(summary(ledger))
    assert max(map(len, lines)) <= 80
    assert "4000 umount2 calls" in lines
    assert any(line.startswith("sync       sync     2000     1000     1000") for line in lines)
