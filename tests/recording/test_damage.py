from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording import samples
from umtrace.model.errors import DamagedInputError, NotPermittedError, UsageError
from umtrace.recording import Recording, RecordingWriter
from umtrace.recording.chunk_writer import Limits
from umtrace.recording.stream import StreamReader

LIMITS = Limits(chunk_rows=30)


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match="no such recording"):
        Recording.open(tmp_path / "r")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "not a recording: the directory is empty"),
        ({"notes.txt": b""}, r"not a recording: there is no meta\.json"),
        ({"meta.json": b""}, r"meta\.json is damaged"),
        ({"meta.json": b"\xff\xfe"}, r"meta\.json is damaged"),
        ({"meta.json": b"[1]"}, "not a JSON object"),
        ({"meta.json": b"[" * 100_000}, r"meta\.json is damaged"),
        ({"meta.json": b"{}"}, "no format version"),
        ({"meta.json": b'{"format": true}'}, "no format version"),
        ({"meta.json": b'{"format": "1.0"}'}, "tier is missing"),
        ({"meta.json": b'{"format": "1.0", "tier": 3}'}, "tier is missing or not of its type"),
        (
            {"meta.json": b'{"format": "1.0", "tier": "x", "clock": {}}'},
            "clock: monotonic_ns is missing",
        ),
        (
            {"meta.json": b'{"format": "2.1", "umtrace": "3.4.5", "everything": "else"}'},
            r"format 2\.1 is newer than this umtrace reads \(1\.x\); use umtrace 3\.4\.5",
        ),
    ],
)
def test_no_recording(tmp_path, content, message):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DamagedInputError, match=message) as caught:
        Recording.open(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_file_and_a_meta_that_is_a_directory(tmp_path):
    (tmp_path / "meta.json").mkdir()
    with pytest.raises(DamagedInputError, match="not a recording"):
        Recording.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DamagedInputError, match="is a file; a recording is a directory"):
        Recording.open(tmp_path / "file")


def test_no_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(NotPermittedError, match="try sudo"):
        Recording.open(tmp_path)


def test_a_newer_minor_version_is_read(tmp_path):
    path = samples.write(tmp_path / "r")
    raw = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({**raw, "format": "1.7", "new": 1}))
    assert len(samples.row_numbers(Recording.open(path))) == 100


def damage(path, name, change):
    file = path / name
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [lambda data: b"", lambda data: data[:-20], lambda data: data[:50], lambda data: b"junk" * 99],
    ids=["empty", "no footer", "head only", "garbage"],
)
def test_a_damaged_chunk_is_named_and_skipped(tmp_path, change):
    path = samples.write(tmp_path / "r", limits=LIMITS)
    damage(path, "events-00002.parquet", change)
    damage(path, "umounts-00001.parquet", change)
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == [*range(30), *range(60, 100)]
    assert samples.row_numbers(recording) == list(range(30, 100))
    text = "\n".join(recording.problems)
    assert "events-00002.parquet: damaged, skipped" in text
    assert "events: 30 rows missing before events-00003.parquet" in text
    assert "umounts-00001.parquet: damaged, skipped" in text


def test_a_flipped_bit_in_a_page_is_found(tmp_path):
    path = samples.write(tmp_path / "r")
    damage(path, "events-00001.parquet", lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:])
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == []
    assert "row group 0 is damaged, skipped" in recording.problems[0]


def test_names_reach_their_events_although_chunks_are_missing(tmp_path):
    path = samples.write(tmp_path / "r", limits=LIMITS)
    (path / "events-00001.parquet").unlink()
    (path / "events-00003.parquet").unlink()
    seen: set[int] = set()
    for part in Recording.open(path).event_batches():
        seen.update(part.names["ts_ns"].tolist())
        assert seen >= set(part.events["ts_ns"].tolist())


def test_a_table_that_is_gone_is_noticed_where_its_rows_were_never_counted(tmp_path):
    path = samples.write(tmp_path / "r")
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | {"rows": {}}))  # as in older recordings
    assert len(samples.row_numbers(Recording.open(path))) == 100
    (path / "umounts-00001.parquet").unlink()
    recording = Recording.open(path)
    assert samples.row_numbers(recording) == []
    assert recording.problems == ["umounts: its file is missing"]
    assert recording.damaged


@pytest.mark.parametrize("gone", ["umounts-00001", "umounts-00002", "umounts-00004"])
def test_a_chunk_that_is_gone_is_noticed_and_its_rows_counted(tmp_path, gone):
    path = samples.write(tmp_path / "r", limits=LIMITS)
    (path / f"{gone}.parquet").unlink()
    recording = Recording.open(path)
    assert not recording.damaged
    missing = 100 - len(samples.row_numbers(recording))
    assert missing == (10 if gone.endswith("4") else 30)
    (problem,) = recording.problems
    assert problem.startswith(f"umounts: {missing} rows missing ")
    assert recording.damaged


def test_all_chunks_gone(tmp_path):
    path = samples.write(tmp_path / "r")
    (path / "umounts-00001.parquet").unlink()
    recording = Recording.open(path)
    assert samples.row_numbers(recording) == []
    assert recording.problems == ["umounts: 100 rows missing at the end"]


def test_a_chunk_of_another_schema_is_named_and_skipped(tmp_path):
    path = samples.write(tmp_path / "r", limits=LIMITS)
    pq.write_table(pa.table({"ts_ns": ["x"]}), path / "events-00001.parquet")
    pq.write_table(pa.table({"id": ["x"]}), path / "umounts-00001.parquet")
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(30, 100))
    assert samples.row_numbers(recording) == list(range(30, 100))
    text = "\n".join(recording.problems)
    assert "column ts_ns is string, not uint64" in text
    assert "column id is string, not int64" in text


def test_a_column_that_an_older_version_lacked_is_null(tmp_path):
    path = samples.write(tmp_path / "r")
    table = pq.read_table(path / "umounts-00001.parquet").drop_columns(["tail_ns"])
    pq.write_table(table, path / "umounts-00001.parquet")
    recording = Recording.open(path)
    assert recording.umounts(["id", "tail_ns"])["tail_ns"].null_count == 100
    assert recording.problems == []


def test_foreign_files_are_left_alone(tmp_path):
    path = samples.write(tmp_path / "r")
    for name in ("events-1.parquet", "events-00009.txt", ".DS_Store", "other-00001.parquet"):
        (path / name).write_bytes(b"foreign")
    (path / "events-00007.parquet").mkdir()
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(100))
    assert recording.problems == []


def test_text_that_is_no_utf8_is_damage_not_a_traceback(tmp_path):
    path = samples.write(tmp_path / "r")
    table = pq.read_table(path / "umounts-00001.parquet")
    bad = pa.array([b"\xff"] * 100, pa.binary()).view(pa.string())
    table = table.set_column(table.schema.get_field_index("path"), "path", bad)
    pq.write_table(table, path / "umounts-00001.parquet")
    recording = Recording.open(path)
    assert recording.umounts().to_pylist() == []
    assert "row group 0 is damaged" in recording.problems[0]


def test_parquet_wins_where_a_crash_left_both(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    stream = path / "events-00001.arrows"
    kept = stream.read_bytes()
    repaired = samples.write(tmp_path / "s")
    (path / "events-00001.parquet").write_bytes((repaired / "events-00001.parquet").read_bytes())
    assert samples.event_numbers(Recording.open(path)) == list(range(100))
    (path / "events-00001.parquet").write_bytes(b"torn by the file system")
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(100))
    assert "damaged, read events-00001.arrows instead" in "\n".join(recording.problems)
    assert stream.read_bytes() == kept


def test_an_empty_stream_is_no_damage(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    (path / "events-00002.arrows").touch()
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(100))
    assert recording.problems == [f"{path}: was cut short; `umtrace repair {path}` finishes it"]


@pytest.fixture(scope="module")
def stream():
    with tempfile.TemporaryDirectory() as directory:
        path = samples.cut_short(Path(directory) / "r", count=30, per_batch=3)
        file = path / "umounts-00001.arrows"
        yield file, file.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_stream_cut_anywhere_keeps_its_complete_messages(stream, data):
    file, whole = stream
    cut = data.draw(st.integers(0, len(whole)))
    file.write_bytes(whole[:cut])
    reader = StreamReader(file)
    found = [n for b in reader.batches() for n in b.column("id").to_pylist()]
    assert found == list(range(len(found)))
    assert reader.readable + reader.torn == cut
    assert reader.torn < len(whole) / 5
    assert len(found) == 30 or cut < len(whole)
    recording = Recording.open(file.parent)
    assert samples.row_numbers(recording) == found
    assert len(recording.problems) == (2 if reader.torn else 1)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_raise(stream, data):
    file, whole = stream
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    recording = Recording.open(file.parent)
    recording.umounts().to_pylist()
    assert recording.last_time("umounts") is None or recording.problems


def test_half_a_message_is_cut_off_when_the_writer_is_interrupted(tmp_path, monkeypatch):
    from umtrace.recording import stream as module

    writer = RecordingWriter(tmp_path / "r", samples.meta())
    writer.write(samples.batch(0, 5))
    writer.flush()
    real = module.write_all

    def interrupted(fd, data):
        real(fd, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_all", interrupted)
    writer.write(samples.batch(5, 5))
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    monkeypatch.undo()
    writer.close()
    assert samples.event_numbers(Recording.open(tmp_path / "r")) == list(range(10))
