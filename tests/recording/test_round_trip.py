from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recording import samples
from umtrace.model.arrow import fixed
from umtrace.model.clock import ClockPair
from umtrace.model.errors import UsageError
from umtrace.model.events import EVENT_DTYPE, EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.model.umounts import SCHEMA
from umtrace.recording import TABLES, Meta, Recording, RecordingWriter, TableKind, parquet
from umtrace.recording import writer as writing
from umtrace.recording.chunk_writer import Limits
from umtrace.recording.columns import (
    events_to_arrow,
    events_to_numpy,
    names_to_arrow,
    names_to_numpy,
)
from umtrace.recording.reader import read_meta

SMALL = Limits(chunk_rows=30)


def test_a_path_that_is_not_utf_8(tmp_path):
    path = samples.write(tmp_path / os.fsdecode(b"caf\xe9"), limits=SMALL)
    cut = samples.cut_short(tmp_path / os.fsdecode(b"cut\xff"))
    for recording in (Recording.open(path), Recording.open(cut)):
        assert recording.umounts().num_rows == 100
        assert not [text for text in recording.problems if "utf-8" in text]


@pytest.mark.parametrize("limits", [Limits(), SMALL])
def test_what_is_written_is_read(tmp_path, limits):
    path = samples.write(tmp_path / "r", limits=limits)
    recording = Recording.open(path)
    found = list(recording.event_batches())
    assert (np.concatenate([b.events for b in found]) == samples.events(0, 100)).all()
    assert (np.concatenate([b.names for b in found]) == samples.names(0, 100)).all()
    assert recording.umounts() == pa.Table.from_batches([samples.rows(0, 100)])
    assert recording.problems == []
    assert not recording.is_open
    assert not list(path.glob("*.arrows"))


@given(st.binary(max_size=640))
def test_any_event_survives_exactly(data):
    events = np.frombuffer(data[: len(data) // 64 * 64], EVENT_DTYPE)
    assert events_to_numpy(events_to_arrow(events)).tobytes() == events.tobytes()


def test_slices_of_columns_convert_back():
    events, names = samples.events(0, 9), samples.names(0, 9)
    assert (events_to_numpy(events_to_arrow(events).slice(3, 4)) == events[3:7]).all()
    assert (names_to_numpy(names_to_arrow(names, 0).slice(6, 3)) == names[6:9]).all()
    assert len(names_to_numpy(names_to_arrow(names[:0], 0))) == 0


def test_the_ring_buffer_may_be_reused_after_write(tmp_path):
    buffer = samples.events(7, 1)
    with RecordingWriter(tmp_path / "r", samples.meta()) as writer:
        writer.write(EventBatch(buffer))
        buffer["a"] = 0
    assert samples.event_numbers(Recording.open(tmp_path / "r")) == [7]


def test_files_are_private(tmp_path):
    path = samples.write(tmp_path / "r")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}


def test_a_name_never_comes_after_its_event(tmp_path):
    with RecordingWriter(tmp_path / "r", samples.meta(), limits=SMALL) as writer:
        for first in range(0, 200, 10):
            writer.write(EventBatch(names=samples.names(first, 5)))
            writer.write(EventBatch(samples.events(first, 10), samples.names(first + 5, 5)))
        writer.write(EventBatch(names=samples.names(200, 3)))
    seen: set[int] = set()
    for part in Recording.open(tmp_path / "r").event_batches():
        seen.update(part.names["ts_ns"].tolist())
        assert seen >= set(part.events["ts_ns"].tolist())
    assert len(seen) == 203


def test_a_live_recording_is_readable(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta(), limits=SMALL)
    for first in range(0, 100, 10):
        writer.write(samples.batch(first, 10), samples.rows(first, 10))
        writer.flush()
        recording = Recording.open(tmp_path / "r")
        assert samples.event_numbers(recording) == list(range(first + 10))
        assert samples.row_numbers(recording) == list(range(first + 10))
        assert recording.is_open
        assert recording.is_live
        assert recording.problems == []
    writer.close()


def test_a_reader_keeps_its_chunks_while_the_writer_rolls_over(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta(), limits=Limits(chunk_rows=60))
    writer.write(samples.batch(0, 50))
    writer.flush()
    batches = Recording.open(tmp_path / "r").event_batches()
    first = next(batches)
    writer.write(samples.batch(50, 50))
    writer.close()
    numbers = [int(n) for part in [first, *batches] for n in part.events["a"]]
    assert numbers == list(range(50))


def test_a_span_of_time_and_columns(tmp_path):
    recording = Recording.open(samples.write(tmp_path / "r", limits=SMALL))
    base = 1_700_000_000_000_000_000
    assert recording.umounts(["path", "id"], span=(base + 31, base + 33)).to_pylist() == [
        {"path": "/mnt/ü 31", "id": 31},
        {"path": "/mnt/ü 32", "id": 32},
    ]
    found = recording.batches("events", columns=["a"], span=(1_000_000 + 98_000, None))
    assert [n for b in found for n in b.column("a").to_pylist()] == [98, 99]
    assert list(recording.batches("events", span=(-5, 0))) == []
    assert recording.umounts(["id"], span=(None, base + 2)).num_rows == 2


def test_row_groups_outside_of_a_span_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    recording = Recording.open(samples.write(tmp_path / "r"))
    read = []
    batches = pq.ParquetFile.iter_batches

    def noted(self, size, row_groups, columns, **options):
        read.extend((number, columns) for number in row_groups)
        return batches(self, size, row_groups=row_groups, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    base = 1_700_000_000_000_000_000
    found = recording.umounts(["id"], span=(base + 31, base + 33))
    assert found["id"].to_pylist() == [31, 32]
    assert [number for number, columns in read if columns == ["id", "t_start"]] == [3]
    assert {tuple(columns) for _, columns in read} == {("t_start",), ("id", "t_start")}


def test_an_unknown_column_or_table_is_named(tmp_path):
    recording = Recording.open(samples.write(tmp_path / "r"))
    with pytest.raises(UsageError, match="no column 'nonsense' in umounts; there are: id"):
        recording.batches("umounts", columns=["nonsense"])
    with pytest.raises(UsageError, match="no table 'nonsense'"):
        recording.batches("nonsense")


def test_other_kinds_of_table(tmp_path):
    kind = TableKind(name="later", schema=pa.schema([("begin", pa.int64())]), time="begin")
    tables = (*TABLES, kind)
    with RecordingWriter(tmp_path / "r", samples.meta(), tables=tables) as writer:
        writer.append("later", pa.RecordBatch.from_pylist([{"begin": 3}], schema=kind.schema))
    for known in (tables, TABLES):  # a reader that never heard of it can read it too
        recording = Recording.open(tmp_path / "r", tables=known)
        assert [b.to_pylist() for b in recording.batches("later")] == [[{"begin": 3}]]


def test_rows_of_another_schema_are_refused(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta())
    with pytest.raises(ValueError, match="another schema"):
        writer.write(EventBatch(), pa.RecordBatch.from_pylist([{"id": 1}]))
    writer.close()


def test_meta_survives_with_unknown_keys(tmp_path):
    losses = LossReport(ring_events=3, ring_events_per_cpu=(1, 2), probe_misses=None)
    given = samples.meta(
        plan=(PlanLine(meaning="enter", probe="x", how="fentry", state="lost", reason="BTF"),),
        command=("umtrace", "record"),
        filters={"pid": [1]},
        extra={"future": {"x": 1}},
    )
    with RecordingWriter(tmp_path / "r", given) as writer:
        writer.update(losses=losses)
        writer.close(clock=ClockPair(5, 6))
    found = Recording.open(tmp_path / "r").meta
    assert found == writer.meta
    assert (found.losses, found.extra, found.clock_end) == (losses, given.extra, ClockPair(5, 6))
    assert found.end_ns is not None
    assert json.loads((tmp_path / "r/meta.json").read_text())["format"] == "1.2"


@pytest.mark.parametrize("what", ["losses", "containers"])
def test_what_could_not_be_saved_at_once_is_saved_by_a_later_call(tmp_path, monkeypatch, what):
    with RecordingWriter(tmp_path / "r", samples.meta()) as writer:
        losses = LossReport(ring_events=3) if what == "losses" else writer.meta.losses
        extra = {"containers": {"7": "3f2a"}} if what == "containers" else {}
        writer.meta = replace(writer.meta, extra=extra)
        monkeypatch.setattr(writing, "_META_S", 1e9)
        writer.update(losses=losses)  # too soon after the last time
        assert read_meta(tmp_path / "r") != writer.meta
        monkeypatch.setattr(writing, "_META_S", 0)
        writer.update(losses=losses)
        assert read_meta(tmp_path / "r") == writer.meta  # now a kill does not lose it


def test_meta_of_this_host_knows_it():
    found = Meta.of_this_host(tier="fentry", command=["umtrace"])
    assert found.kernel
    assert found.start_ns == found.clock.realtime_ns
    assert Meta.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_an_empty_recording_is_one_that_others_read_too(tmp_path):
    RecordingWriter(tmp_path / "r", samples.meta()).close()
    recording = Recording.open(tmp_path / "r")
    assert list(recording.event_batches()) == []
    assert recording.umounts().schema.equals(SCHEMA)
    assert pq.read_table(tmp_path / "r/umounts-00001.parquet").num_rows == 0


def test_pandas_reads_the_rows_by_itself(tmp_path):
    import pandas as pd

    path = samples.write(tmp_path / "r")
    frame = pd.read_parquet(path / "umounts-00001.parquet")
    assert frame["id"].tolist() == list(range(100))
    assert str(frame["t_start"].dtype) == "datetime64[ns, UTC]"


def test_writing_imports_no_pandas(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from umtrace.recording import Meta, Recording, RecordingWriter\n"
        "from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, EventBatch\n"
        "batch = EventBatch(np.zeros(9, EVENT_DTYPE), np.zeros(9, NAME_DTYPE))\n"
        "with RecordingWriter(sys.argv[1], Meta.of_this_host(tier='x')) as w: w.write(batch)\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "r"], check=True)


def test_refusals(tmp_path):
    path = samples.write(tmp_path / "r")
    with pytest.raises(UsageError, match="holds a recording already; use --force"):
        RecordingWriter(path, samples.meta())
    with pytest.raises(UsageError, match=r"missing: no such directory; create it first"):
        RecordingWriter(tmp_path / "missing/r", samples.meta())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        RecordingWriter(tmp_path / "file", samples.meta(), force=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letters").touch()
    with pytest.raises(UsageError, match="holds other files and no recording"):
        RecordingWriter(tmp_path / "home", samples.meta(), force=True)


def test_force_replaces_a_recording_but_no_foreign_file(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    (path / "notes.txt").write_text("mine")
    samples.write(path, count=20, force=True)
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(20))
    assert recording.problems == []
    assert (path / "notes.txt").read_text() == "mine"


def test_a_recording_being_written_is_not_replaced(tmp_path):
    writer = RecordingWriter(tmp_path / "r", samples.meta())
    with pytest.raises(UsageError, match="another umtrace is writing"):
        RecordingWriter(tmp_path / "r", samples.meta(), force=True)
    writer.close()
    writer.close()


def test_an_empty_directory_is_taken(tmp_path):
    (tmp_path / "r").mkdir()
    assert samples.row_numbers(Recording.open(samples.write(tmp_path / "r"))) == list(range(100))


def test_rows_leave_memory_by_age(tmp_path):
    limits = Limits(pending_s=0, chunk_s=0)
    writer = RecordingWriter(tmp_path / "r", samples.meta(), limits=limits)
    for first in range(3):
        writer.write(samples.batch(first, 1))
        writer.write(EventBatch())
    assert len(list((tmp_path / "r").glob("events-*.parquet"))) == 3
    writer.close()


@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind.delta], ids=lambda k: k.name)
def test_what_is_stored_as_differences_reads_back_exactly(tmp_path, kind):
    rng = np.random.default_rng(14)
    columns = []
    for field in kind.schema:
        if field.name in kind.delta:
            integers = rng.integers(0, 2**63 - 1, 500, np.int64)
            integers[::7] = np.arange(integers[::7].size)
            null = rng.random(500) < 0.3 if field.nullable else np.zeros(500, np.bool_)
            dtype = np.uint64 if pa.types.is_uint64(field.type) else np.int64
            columns.append(fixed(integers.astype(dtype), field.type, null))
    schema = pa.schema([field for field in kind.schema if field.name in kind.delta])
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    path = tmp_path / "chunk.parquet"
    parquet.write_parquet(path, kind, schema, [batch])
    assert pq.read_table(path).to_batches() == [batch]
    group = pq.ParquetFile(path).metadata.row_group(0)
    for number in range(group.num_columns):
        assert "DELTA_BINARY_PACKED" in group.column(number).encodings
