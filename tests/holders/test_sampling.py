from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from umtrace.holders import looking, procfs
from umtrace.holders.asker import asker
from umtrace.holders.looking import FEWEST_SAMPLES, MOST_SAMPLES, SAMPLES
from umtrace.holders.procfs import Open
from umtrace.holders.sampling import resample, resample_apart


@pytest.fixture
def held(tmp_path):
    with (tmp_path / "x").open("w") as file:
        yield Open(os.getpid(), os.getpid(), "fd", str(tmp_path / "x"), file.fileno())


def test_who_stays_is_seen_every_time(held):
    (seen, of, missing_ns), other = resample([held, None])
    assert seen == of >= FEWEST_SAMPLES
    assert missing_ns is None
    assert other == (1, 1, None)


def test_who_is_gone_is_missing(held):
    gone = Open(held.pid, held.tid, "fd", "/elsewhere", held.fd)
    assert resample([gone], lambda: 7) == [(1, SAMPLES, 7)]


def test_the_child_finds_the_same_with_the_clock_of_the_rows(held):
    gone = Open(held.pid, held.tid, "fd", "/elsewhere", held.fd)
    try:
        (seen, looks, _), (gone_seen, gone_looks, missing_ns), other = resample_apart(
            [held, gone, None], lambda: 10**18
        )
    finally:
        asker().close()
    assert seen == looks >= FEWEST_SAMPLES
    assert (gone_seen, gone_looks) == (1, SAMPLES)
    assert 0 <= 10**18 - missing_ns < 10**9
    assert other == (1, 1, None)


def test_who_was_not_sampled_is_no_holder(held):
    os.kill(asker().start().process.pid, 9)
    try:
        assert resample_apart([held]) == [(1, 2, None)]
    finally:
        asker().close()


def test_a_task_that_never_ran_between_the_looks_is_not_known(held, monkeypatch):
    monkeypatch.setattr(looking, "running", lambda _task: (True, 5))
    assert resample([held]) == [(1, 2, None)]
    monkeypatch.setattr(looking, "running", lambda _task: (True, None))
    assert resample([held]) == [(SAMPLES, SAMPLES, None)]


def test_a_task_that_runs_is_looked_at_more_often_by_who_has_patience(held, monkeypatch):
    ran = itertools.count(1)
    monkeypatch.setattr(looking, "running", lambda _task: (True, next(ran)))
    assert resample([held]) == [(SAMPLES, SAMPLES, None)]
    enough = MOST_SAMPLES
    assert resample([held], patience_s=30.0) == [(enough, enough, None)]
    monkeypatch.setattr(looking, "running", lambda _task: (False, 5))
    assert resample([held], patience_s=30.0) == [(SAMPLES, SAMPLES, None)]


def test_who_opens_and_closes_in_a_loop_is_missing_at_times(tmp_path):
    (tmp_path / "x").touch()
    code = f"import os\nwhile True: os.close(os.open({str(tmp_path / 'x')!r}, os.O_RDONLY))"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        found = None
        while found is None:
            files = procfs.files(process.pid)
            found = next((f for f in files if f.path == str(tmp_path / "x")), None)
        ((seen, of, missing_ns),) = resample([found])
        process.kill()
    assert seen < of
    assert missing_ns is not None
