"""`record --summaries`: what a running recorder writes is what its recording comes to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.builders import Stream
from tests.fleet.fleets import HOUR_NS
from tests.stats.rows import T0_NS
from umtrace.fleet.file import SummaryFile
from umtrace.fleet.live import KEPT_HOURS, SummarySink
from umtrace.fleet.summarize import summaries_of
from umtrace.model.clock import ClockPair
from umtrace.model.errors import UmtraceError
from umtrace.model.losses import LossReport
from umtrace.pipeline import RecordingSink, Until, run
from umtrace.recording import Recording
from umtrace.sources.fake import FakeSource

_HOURS = 3
_LOST = LossReport(ring_events=5)


class Clock:
    """The wall clock, which each batch that is read moves on."""

    def __init__(self):
        self.now_ns = T0_NS

    def __call__(self):
        return self.now_ns


def batches(clock, *, steps=12):
    """Umounts of some hours; one begins in each hour and ends in the next."""
    for step in range(steps):
        at = step * _HOURS * HOUR_NS // steps
        stream = Stream()
        for number in range(5):
            t0 = at + 1000 * (number + 1)
            stream.umount(
                10 + number, t0, end=(t0 + 500 + number, t0 + 900), ret=-16 * (number == 4)
            )
        stream.umount(50, at + 9000, end=(at + HOUR_NS // 3, at + HOUR_NS // 3 + 9))
        clock.now_ns = T0_NS + at
        yield stream.batch()


def source_of(clock, **given):
    return FakeSource(batches(clock, **given), clock=ClockPair(0, T0_NS), losses=_LOST)


def files(folder):
    found = [SummaryFile(path) for path in sorted(folder.rglob("*.parquet"))]
    return {file.about.hour_ns: file for file in found}


def test_they_are_those_of_the_recording(tmp_path):
    clock = Clock()
    sink = SummarySink(str(tmp_path / "out"), now_ns=clock)
    run(source_of(clock), [RecordingSink(tmp_path / "rec.umt"), sink], until=Until())
    live = files(tmp_path / "out")
    stored = summaries_of(Recording.open(tmp_path / "rec.umt"))
    assert [about.hour_ns for about, _ in stored] == sorted(live)
    assert len(live) == _HOURS
    for about, table in stored:
        file = live[about.hour_ns]
        assert file.cells().equals(table)
        assert (file.about.identity, file.about.place) == (about.identity, about.place)
        assert file.about.rows == about.rows
    assert sum(file.about.losses.ring_events or 0 for file in live.values()) == 5


def test_an_hour_is_written_when_it_is_over(tmp_path):
    clock, seen = Clock(), []

    source = source_of(clock)
    read = source.read

    def watched(timeout_s):
        seen.append(len(list(tmp_path.rglob("*.parquet"))))
        return read(timeout_s)

    source.read = watched
    sink = SummarySink(str(tmp_path), now_ns=clock)
    run(source, [sink], until=Until())
    assert seen[0] == 0
    assert len(list(tmp_path.rglob("*.parquet"))) == _HOURS
    assert not list(tmp_path.rglob("*.umt"))


def test_what_began_long_ago_is_counted_in_the_first_hour_that_is_kept(tmp_path):
    clock = Clock()
    sink = SummarySink(str(tmp_path), now_ns=clock)
    source = source_of(clock, steps=1)

    def later(_tick):
        clock.now_ns = T0_NS + (KEPT_HOURS + 5) * HOUR_NS

    take = sink.take
    sink.take = lambda tick: (later(tick), take(tick))
    run(source, [sink], until=Until())
    (hour,) = files(tmp_path)
    assert hour == T0_NS + 5 * HOUR_NS


def test_without_umounts_there_is_a_file_all_the_same(tmp_path):
    clock = Clock()
    run(source_of(clock, steps=0), [SummarySink(str(tmp_path), now_ns=clock)], until=Until())
    (file,) = files(tmp_path).values()
    assert file.about.rows == 0


def test_a_place_that_refuses_is_tried_again(tmp_path, monkeypatch):
    clock, lines = Clock(), []
    sink = SummarySink(str(tmp_path / "out"), say=lines.append, now_ns=clock)
    put, calls = sink._storage.put, []

    def failing(place, data):
        calls.append(place)
        if len(calls) < 3:
            raise UmtraceError("bucket is away")
        put(place, data)

    monkeypatch.setattr(sink._storage, "put", failing)
    run(source_of(clock), [sink], until=Until())
    assert len(files(tmp_path / "out")) == _HOURS
    assert "bucket is away" in lines[0]


def test_a_place_that_never_takes_anything_ends_with_an_error(tmp_path):
    (tmp_path / "out").write_text("a file")
    clock = Clock()
    with pytest.raises(UmtraceError, match="could not be written"):
        run(source_of(clock), [SummarySink(str(tmp_path / "out"), now_ns=clock)], until=Until())


@pytest.mark.kernel
def test_the_command_keeps_nothing_else(tmp_path):
    command = [sys.executable, "-P", "-m", "umtrace", "record", "--summaries", "out", "--"]
    exercise = [sys.executable, "-P", "-m", "umtrace", "exercise", "--sync", "5", "--lazy", "2"]
    done = subprocess.run(
        [*command, *exercise], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (file, *_) = files(tmp_path / "out").values()
    assert file.about.rows >= 7
