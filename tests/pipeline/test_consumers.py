"""Whatever a live consumer does: no event lost, no row missing, each miss counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench.streams import stream
from tests.pipeline import toys
from umtrace.model.clock import ClockPair
from umtrace.model.errors import UsageError
from umtrace.pipeline import ConsumerProcess, Missed, Until, consumer, record, run
from umtrace.recording import Recording
from umtrace.sources.fake import FakeSource

EVENTS = 1_600_000
BATCH = 65_536
MISBEHAVE = (toys.spins, toys.sleeps, toys.raises, toys.is_killed)


def source(events=EVENTS):
    return FakeSource(stream("fentry", events, batch=BATCH), clock=ClockPair(0, 10**18))


def recorded(path, events=EVENTS, consumers=()):
    """Record with consumers; totals, the ids of the rows, and the number of events."""
    sinks = [ConsumerProcess(each) for each in consumers]
    totals = record(path, source(events), until=Until(), sinks=sinks)
    opened = Recording.open(path)
    ids = [n for batch in opened.batches("umounts") for n in batch.column("id").to_pylist()]
    found = sum(len(batch.events) for batch in opened.event_batches())
    assert opened.problems == []
    return totals, ids, found, sinks


def test_consumers_that_misbehave_cost_the_recording_nothing(tmp_path):
    alone, ids, events, _ = recorded(tmp_path / "alone.umt")
    beside, ids_beside, events_beside, sinks = recorded(tmp_path / "r.umt", consumers=MISBEHAVE)
    assert (ids_beside, events_beside, beside.rows) == (ids, events, alone.rows)
    assert len(ids) == alone.rows > 50_000
    missed = {sink.name: sink.missed for sink in sinks}
    assert beside.missed == missed
    # What is in the pipe and never read is missed as well.
    assert missed["spins"].rows == missed["sleeps"].rows == alone.rows
    assert 0 < missed["is_killed"].rows <= alone.rows
    ended = {sink.name: sink.ended for sink in sinks}
    assert "was killed" in ended["spins"]


def test_how_a_consumer_ended_is_said(tmp_path, capfd, monkeypatch):
    # Both end by themselves, however long they take to start on a busy host.
    monkeypatch.setattr(consumer, "TO_END_S", 60.0)
    totals, _, _, sinks = recorded(tmp_path / "r.umt", consumers=(toys.raises, toys.is_killed))
    assert "consumer raises ended: ValueError: a bug of this consumer" in capfd.readouterr().err
    ended = {sink.name: sink.ended for sink in sinks}
    assert ended == {"raises": "ended with status 1", "is_killed": "ended with status -9"}
    assert all(0 < sink.missed.rows < totals.rows for sink in sinks)


def test_a_consumer_that_keeps_up_misses_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_OUT", str(tmp_path / "out"))
    sink = ConsumerProcess(toys.counts)
    # All of it fits into the pipe, however long the other process takes to start.
    few = FakeSource(stream("fentry", 24_000, batch=2_000), clock=ClockPair(0, 10**18))
    totals = run(few, [sink], until=Until())
    assert (sink.missed, sink.ended) == (Missed(), "")
    assert (tmp_path / "out").read_text() == f"{totals.rows} 0 0"


def test_given_and_missed_add_up(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_OUT", str(tmp_path / "out"))
    totals, ids, _events, (sink,) = recorded(tmp_path / "r.umt", consumers=[toys.counts])
    given = int((tmp_path / "out").read_text().split()[0])
    assert given + sink.missed.rows == len(ids)
    assert totals.missed == {"counts": sink.missed}


def test_a_consumer_ends_with_its_recorder(tmp_path):
    sink = ConsumerProcess(toys.spins)
    with pytest.raises(RuntimeError):
        run(FakeSource(_fails()), [sink], until=Until())
    with pytest.raises(ProcessLookupError):
        os.kill(sink.pid, 0)


def _fails():
    yield next(stream("fentry", 1))
    raise RuntimeError("the source")


def test_a_function_that_no_other_process_can_import():
    with pytest.raises(UsageError, match="top level of a module"):
        ConsumerProcess(lambda _updates: None)


SCRIPT = """
from umtrace.pipeline import ConsumerProcess, Until, run
from umtrace.sources.fake import FakeSource

def says(updates):
    print(sum(1 for _ in updates), "updates")

if __name__ == "__main__":
    run(FakeSource(), [ConsumerProcess(says)], until=Until())
"""


@pytest.mark.parametrize("how", [("mine.py",), ("-m", "mine")])
def test_a_function_of_the_script_that_runs(tmp_path, how):
    (tmp_path / "mine.py").write_text(SCRIPT)
    command = [sys.executable, *how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "1 updates\n", done.stderr


def test_an_endless_source_waits_and_ends_when_it_is_told():
    idle = FakeSource(endless=True)
    began = time.monotonic()
    totals = run(idle, [], until=Until(seconds=0.2))
    assert totals.rows == 0
    assert time.monotonic() - began >= 0.2
    assert not idle.is_open
