"""`trace` and `record` from events that were made up: what they print, and what is recorded."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.builders import EBUSY, Stream
from umtrace.cli.main import umtrace
from umtrace.model.activity import NOW
from umtrace.model.clock import ClockPair
from umtrace.model.losses import LossReport
from umtrace.recording import Recording
from umtrace.sources.fake import FakeSource

WALL_NS = 1_700_000_000_000_000_000


@pytest.fixture
def run(monkeypatch):
    """Run a command on a source of two umounts, of which one failed, and a lost event."""
    batch = Stream().umount(7, 5000, path=b"/a").umount(8, 9000, path=b"/b", ret=-EBUSY).batch()
    source = FakeSource(
        [batch],
        tier="tracepoint",
        clock=ClockPair(0, WALL_NS),
        losses=LossReport(ring_events=1),
        endless=True,
    )
    monkeypatch.setattr("umtrace.sources.select.open_source", lambda *_a, **_k: source)

    def invoke(command, *arguments):
        return CliRunner().invoke(umtrace, [command, "--duration", "0.1", *arguments])

    return invoke


def test_trace_prints_a_line_for_each(run):
    done = run("trace")
    assert done.exit_code == 0
    lines = [line for line in done.stdout.splitlines() if " /a" in line or " /b" in line]
    assert len(lines) >= 2
    assert "EBUSY" in next(line for line in lines if " /b" in line)
    assert "losses: 1 event" in done.stderr


def test_trace_prints_json(run):
    rows = [json.loads(line) for line in run("trace", "--json").stdout.splitlines()]
    umounts = [(row["path"], row["errno"]) for row in rows if "event" not in row]
    assert umounts == [("/a", 0), ("/b", EBUSY)]


def test_record_says_what_it_recorded(run, tmp_path):
    done = run("record", "-o", str(tmp_path / "r.umt"))
    assert done.exit_code == 0
    assert "2 umounts, 1 failed" in done.stderr
    assert "losses: 1 event" in done.stderr
    assert sum(len(rows) for rows in Recording.open(tmp_path / "r.umt").batches("umounts")) == 2


def test_trace_prints_a_line_for_each_teardown(run):
    done = run("trace", "--teardowns")
    (line,) = done.stdout.splitlines()
    assert "namespace 4026531840: 2 umounts, " in line
    assert "waited for: /" in line


def test_trace_prints_teardowns_as_json(run):
    (found,) = map(json.loads, run("trace", "--teardowns", "--json").stdout.splitlines())
    assert (found["event"], found["umounts"], found["failed"]) == ("teardown", 2, 1)


def test_gap_is_for_teardowns(run):
    done = run("trace", "--gap", "2s")
    assert done.exit_code == 2
    assert "--gap is for --teardowns" in done.output


@pytest.mark.parametrize("words", [(), ("-q",), ("--", "true")])
def test_the_terminal_shows_that_a_recording_is_closed(run, tmp_path, monkeypatch, words):
    shown = []
    monkeypatch.setattr("umtrace.cli.working.begin", lambda: shown.append(NOW.text))
    assert run("record", "-o", str(tmp_path / "r.umt"), *words).exit_code == 0
    assert ("closing" in shown) == ("-q" not in words)
