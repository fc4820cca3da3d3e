"""Clocks that were set, and clocks of a namespace: said, and never days off."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.readers.conftest import written
from tests.stats.rows import T0_NS, row
from umtrace.recording import Recording

DAYS_400 = 400 * 86400 * 10**9


def with_end(path, moved):
    meta = json.loads((path / "meta.json").read_text())
    clock = meta["clock"]
    meta["clock_end"] = {
        "monotonic_ns": clock["monotonic_ns"] + 7 * 10**9,
        "realtime_ns": clock["realtime_ns"] + 7 * 10**9 + moved,
    }
    meta["end_ns"] = meta["clock_end"]["realtime_ns"]
    (path / "meta.json").write_text(json.dumps(meta))
    return path


@pytest.mark.parametrize(
    ("moved", "said"),
    [(-DAYS_400, "moved by -400 d"), (DAYS_400, "moved by +400 d"), (5 * 10**6, "")],
)
def test_a_clock_that_was_set_is_said_and_the_length_is_right(call, tmp_path, moved, said):
    path = with_end(written(tmp_path / "r.umt", [row(id=0, t_start=T0_NS)]), moved)
    code, out, _ = call("report", path)
    text = " ".join(out.split())
    assert code == 0
    assert "7 s from 2026-01-01" in text or "7.00 s from 2026-01-01" in text
    assert said in text
    assert ("CLOCK:" in text) == bool(said)


def test_a_time_namespace_has_the_clock_of_the_host():
    code = "from umtrace.model.clock import ClockPair as C; print(C.now().offset_ns)"
    command = ["unshare", "-T", "--monotonic=1000000", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"no time namespace here: {done.stderr.strip()}")
    offset = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(
        time.CLOCK_MONOTONIC
    )
    assert abs(int(done.stdout) - offset) < 60 * 10**9


@pytest.mark.kernel
def test_a_recording_made_in_a_time_namespace_has_the_time_of_the_host(tmp_path):
    umtrace = [sys.executable, "-m", "umtrace"]
    inside = [*umtrace, "record", "-o", str(tmp_path / "r.umt"), "--", *umtrace, "exercise"]
    command = ["unshare", "-m", "-T", "--monotonic=1000000", *inside]
    begin = time.time_ns()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"no time namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    times = Recording.open(tmp_path / "r.umt").umounts(["t_start"]).column("t_start")
    found = [value for value in times.cast("int64").to_pylist() if value is not None]
    assert found
    assert begin - 10**9 <= min(found) <= max(found) <= time.time_ns()
