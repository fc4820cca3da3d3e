from __future__ import annotations

import pytest

from tests.recording import samples
from umtrace.cli.main import run
from umtrace.model.errors import DamagedInputError, UsageError
from umtrace.recording import Recording, RecordingWriter, layout, repair
from umtrace.recording import rebuild as rebuild_module
from umtrace.recording.chunk_writer import Limits

LIMITS = Limits(chunk_rows=30, pending_rows=1)


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_open_chunks_become_parquet(tmp_path):
    path = samples.cut_short(tmp_path / "r", limits=LIMITS)
    report = repair(path)
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(100))
    assert samples.row_numbers(recording) == list(range(100))
    assert not list(path.glob("*.arrows"))
    assert recording.problems == []
    assert not recording.is_open
    assert recording.meta.end_ns == samples.CLOCK.realtime_ns + 99_000
    assert report.rows_kept == 3 * 10
    assert report.notes == []
    assert recording.meta.rows["umounts"] == recording.meta.rows["events"] == 100
    assert not recording.damaged


def test_a_second_repair_changes_nothing(tmp_path):
    path = samples.cut_short(tmp_path / "r", limits=LIMITS)
    damage_tail(path / "events-00004.arrows")
    assert repair(path).changed
    before = contents(path)
    report = repair(path)
    assert not report.changed
    assert contents(path) == before


def test_a_closed_recording_is_left_alone(tmp_path):
    path = samples.write(tmp_path / "r")
    before = contents(path)
    assert not repair(path).changed
    assert contents(path) == before


def damage_tail(stream, cut=17):
    data = stream.read_bytes()
    stream.write_bytes(data[:-cut])


def test_a_torn_tail_is_counted_and_kept_aside(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    stream = path / "events-00001.arrows"
    damage_tail(stream)
    whole = stream.read_bytes()
    report = repair(path)
    kept = (path / "events-00001.arrows.damaged").read_bytes()
    assert whole.endswith(kept)
    assert report.bytes_lost == len(kept)
    assert report.aside == ["events-00001.arrows.damaged"]
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(90))
    assert "cut short: 90 rows kept" in recording.meta.notes[0]
    assert "cut short: 90 rows kept" in recording.problems[0]


@pytest.mark.parametrize("name", ["events-00009.arrows", "events-00009.parquet"])
def test_what_cannot_be_read_is_set_aside(tmp_path, name):
    path = samples.cut_short(tmp_path / "r")
    (path / name).write_bytes(b"garbage")
    report = repair(path)
    assert report.aside == [name + ".damaged"]
    assert (path / (name + ".damaged")).read_bytes() == b"garbage"
    (path / name).write_bytes(b"more garbage")
    assert repair(path).aside == [name + ".2.damaged"]
    assert samples.event_numbers(Recording.open(path)) == list(range(100))


def test_leftovers_of_a_crash_are_cleared(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    done = samples.write(tmp_path / "s")
    (path / "events-00001.parquet").write_bytes((done / "events-00001.parquet").read_bytes())
    (path / "umounts-00001.parquet.tmp").write_bytes(b"half")
    (path / "meta.json.tmp").write_bytes(b"half")
    (path / "foreign.tmp").touch()
    (path / "names-00002.arrows").touch()
    repair(path)
    assert sorted(contents(path)) == [
        ".lock",
        "events-00001.parquet",
        "foreign.tmp",
        "meta.json",
        "names-00001.parquet",
        "umounts-00001.parquet",
    ]
    assert samples.event_numbers(Recording.open(path)) == list(range(100))


def test_a_living_writer_is_not_disturbed(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta())
    with pytest.raises(UsageError, match=r"is being written by process \d+"):
        repair(tmp_path / "r")
    writer.close()


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(DamagedInputError):
        repair(tmp_path)
    with pytest.raises(UsageError):
        repair(tmp_path / "missing")


def derive(batches):
    for batch in batches:
        first = int(batch.events["a"][0])
        yield samples.rows(first, len(batch.events))


def test_rows_are_worked_out_again(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta(), limits=LIMITS)
    for first in range(0, 100, 10):
        writer.write(samples.batch(first, 10), samples.rows(first, 9))  # one always in flight
    writer.flush()
    samples.kill(writer)
    report = repair(tmp_path / "r", derive)
    assert report.rows_rebuilt == 100
    recording = Recording.open(tmp_path / "r")
    assert samples.row_numbers(recording) == list(range(100))
    assert recording.problems == []
    assert not repair(tmp_path / "r", derive).changed


def test_rows_stay_when_events_are_missing(tmp_path):
    path = samples.cut_short(tmp_path / "r", limits=LIMITS)
    (path / "events-00002.parquet").unlink()
    report = repair(path, derive)
    assert report.rows_rebuilt is None
    assert "events are missing" in report.notes[0]
    assert samples.row_numbers(Recording.open(path)) == list(range(100))


def test_rows_stay_when_the_events_give_fewer(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    report = repair(path, lambda batches: [samples.rows(0, 5)])
    assert report.rows_rebuilt is None
    assert samples.row_numbers(Recording.open(path)) == list(range(100))


@pytest.mark.parametrize("survived", range(7))  # the commit, its sync, four moves, their sync
def test_a_crash_while_swapping_shows_every_row_once(tmp_path, monkeypatch, survived):
    path = samples.cut_short(tmp_path / "r", limits=LIMITS)
    monkeypatch.setattr(rebuild_module, "Limits", lambda: LIMITS)
    left = [survived]

    def failing(function):
        def step(*args):
            if left[0] == 0:
                raise RuntimeError("power cut")
            left[0] -= 1
            return function(*args)

        return step

    moving = rebuild_module.Path
    monkeypatch.setattr(moving, "rename", failing(moving.rename))
    monkeypatch.setattr(rebuild_module.layout, "sync_directory", failing(layout.sync_directory))
    with pytest.raises(RuntimeError):
        repair(path, derive)
    monkeypatch.undo()
    assert samples.row_numbers(Recording.open(path)) == list(range(100))
    repair(path, derive)
    recording = Recording.open(path)
    assert samples.row_numbers(recording) == list(range(100))
    assert recording.problems == []
    assert not [entry for entry in path.iterdir() if entry.is_dir()]


def test_rows_that_are_gone_are_counted_not_called_nothing(tmp_path, capsys):
    path = samples.write(tmp_path / "r")
    assert repair(path).missing == []
    (path / "umounts-00001.parquet").unlink()
    assert run(["repair", str(path)]) == 5
    said = capsys.readouterr().out
    assert "repair cannot restore this; umounts: 100 rows are missing" in said
