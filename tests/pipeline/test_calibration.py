"""The length of normal grace periods beside a recorder: measured by a process, never waited for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from umtrace.kernel.config import option_number
from umtrace.kernel.membarrier import wait_ns, why_not
from umtrace.model.clock import ClockPair
from umtrace.pipeline import RecordingSink, Until, run
from umtrace.pipeline.calibration import MOST_KEPT, SWITCHED_OFF, Calibration
from umtrace.query.normal_gp import measured, recorded_hz
from umtrace.query.selection import Selection
from umtrace.query.whatif import simulated
from umtrace.recording import Recording
from umtrace.sources.fake import FakeSource

PLAIN = {"rcu_normal": 0, "rcu_expedited": 0}


def _source():
    return FakeSource(clock=ClockPair.now(), endless=True)


@pytest.mark.parametrize(
    ("state", "cpus", "reason"),
    [
        ({**PLAIN, "rcu_normal": 1}, 4, "rcu_normal is set"),
        ({**PLAIN, "rcu_expedited": 1}, 4, "rcu_expedited is set"),
        ({"rcu_normal": 1, "rcu_expedited": 1}, 4, "rcu_normal is set"),
        (PLAIN, 1, "one CPU"),
        ({"rcu_normal": None, "rcu_expedited": None}, 4, "cannot be read"),
    ],
)
def test_where_the_call_shows_something_else_there_is_a_reason(state, cpus, reason):
    assert reason in why_not(state, cpus)


def test_it_is_in_the_recording_as_numbers(tmp_path):
    if why := why_not():
        pytest.skip(why)
    path, gauge = tmp_path / "r.umt", Calibration()
    begin = time.monotonic()

    def enough():
        return gauge.calls >= 3 or time.monotonic() - begin > 60

    sinks = [gauge, RecordingSink(path, normal_gp=gauge.to_dict)]
    run(_source(), sinks, until=Until(also=enough))
    stored = json.loads((path / "meta.json").read_text())["normal_gp"]
    assert stored["why"] is None
    assert stored["calls"] == len(stored["lengths_ns"]) >= 3
    assert all(1_000 < ns < 60_000_000_000 for ns in stored["lengths_ns"])
    assert list(measured(Recording.open(path).meta).lengths_ns) == stored["lengths_ns"]


def test_the_process_ends_with_the_run_and_holds_no_mount():
    if why := why_not():
        pytest.skip(why)
    gauge, seen = Calibration(), []

    def look():
        process = gauge._process
        seen.append((process.pid, str(Path(f"/proc/{process.pid}/cwd").readlink())))
        return True

    run(_source(), [gauge], until=Until(also=look))
    assert seen[-1][1] == "/"
    assert not Path(f"/proc/{seen[-1][0]}").exists()


def test_switched_off_there_is_no_process():
    gauge = Calibration(wanted=False)
    run(_source(), [gauge], until=Until(seconds=0.1))
    assert gauge.to_dict() == {
        "by": "membarrier",
        "calls": 0,
        "lengths_ns": None,
        "why": SWITCHED_OFF,
    }


def test_a_long_run_keeps_a_sample_and_a_reason_ends_it():
    gauge = Calibration()
    for number in range(10 * MOST_KEPT):
        gauge._note(str(number + 1))
    gauge._note("rcu_expedited is set")
    assert gauge.calls == 10 * MOST_KEPT
    assert len(gauge.lengths_ns) == MOST_KEPT
    assert MOST_KEPT < sorted(gauge.lengths_ns)[MOST_KEPT // 2] < 9 * MOST_KEPT
    assert gauge.to_dict()["why"] == "rcu_expedited is set"


def test_a_wait_takes_time():
    if why := why_not():
        pytest.skip(why)
    assert wait_ns() > 1_000


@pytest.mark.parametrize(
    "value",
    [None, 3, [], {"lengths_ns": "x"}, {"lengths_ns": [0]}, {"lengths_ns": [True]},
     {"lengths_ns": [10**18]}, {"lengths_ns": [1] * 10_001}],
)  # fmt: skip
def test_what_no_host_has_is_not_taken_from_a_strangers_recording(tmp_path, value):
    path = tmp_path / "r.umt"
    run(FakeSource(clock=ClockPair.now()), [RecordingSink(path)], until=Until())
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({**meta, "normal_gp": value}))
    assert measured(Recording.open(path).meta).lengths_ns == ()


@pytest.mark.parametrize(("value", "known"), [(300, 300), (None, None), (0, None), ("x", None)])
def test_the_timer_ticks_are_those_of_the_recorded_kernel(tmp_path, value, known):
    path = tmp_path / "r.umt"
    run(FakeSource(clock=ClockPair.now()), [RecordingSink(path)], until=Until())
    meta = json.loads((path / "meta.json").read_text())
    assert meta["hz"] == option_number("CONFIG_HZ")
    (path / "meta.json").write_text(json.dumps({**meta, "hz": value}))
    assert recorded_hz(Recording.open(path).meta) == known
    found = simulated(Selection(Recording.open(path)))
    assert bool(found.assumed) == (known is None)
