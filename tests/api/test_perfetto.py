"""The trace as Perfetto's own classes read it, and as a second reader in pure Python does."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from tests.api import second_reader
from tests.api.trace_reader import parse, read
from tests.stats.rows import T0_NS, batch_of, container_host, row
from tests.teardowns.scenes import umount
from tests.teardowns.test_numbers import one
from umtrace.cli.main import run
from umtrace.model.clock import ClockPair
from umtrace.present import packets
from umtrace.present.perfetto import write_perfetto
from umtrace.present.protobuf import number, varint

CLOCK = ClockPair(10_000, T0_NS)
RECORDINGS = Path(__file__).parents[2] / "recordings"
MOST_BYTES = 150  #: of an umount, without optional tracks


def _trace(rows, windows=(), teardowns=(), *, rcu_track=True):
    """Return a trace and the number of umounts; two readers find the same slices in it."""
    out = io.BytesIO()
    written = write_perfetto(out, CLOCK, [batch_of(rows)], windows, teardowns, rcu_track=rcu_track)
    return _parsed(out.getvalue()), written


def _parsed(data):
    trace = parse(data)
    assert _sorted(_slices(trace)) == _sorted(second_reader.slices(data))
    return trace


def _sorted(slices):
    return sorted(slices, key=repr)


def _slices(trace):
    return read(trace)[0]


def _tracks(trace):
    return read(trace)[1]


def test_an_umount_is_a_slice_with_its_phases_in_order():
    one = row(t_start=T0_NS + 500, tid=7, pid=5, path="/mnt", rcu_ns=40, tree_ns=10, shutdown_ns=50)
    trace, written = _trace([one])
    assert written == 1
    slices = {name: (begin, end) for _, name, begin, end, args in _slices(trace)}
    assert slices["umount /mnt"] == (10_500, 10_600)
    assert slices["umount tree"] == (10_500, 10_510)
    assert slices["fs shutdown"] == (10_550, 10_600)
    assert "other" not in slices, "what no phase covers is the umount's own time"


def test_tasks_are_threads_of_their_processes():
    rows = [row(t_start=T0_NS, pid=5, tid=tid, comm="runc", rcu_ns=9) for tid in (5, 6)]
    tracks = _tracks(_trace(rows)[0])
    threads = [t for t in tracks.values() if t.HasField("thread")]
    assert [(t.thread.pid, t.thread.tid) for t in threads] == [(5, 5), (5, 6)]
    assert {tracks[t.parent_uuid].process.process_name for t in threads} == {"runc"}


def test_times_are_on_the_monotonic_clock_and_tied_to_the_wall():
    trace, _ = _trace([row(t_start=T0_NS, rcu_ns=9)])
    first = trace.packet[0].clock_snapshot
    assert {c.clock_id: c.timestamp for c in first.clocks} == {3: 10_000, 1: T0_NS, 64: 10_000}
    assert [c.clock_id for c in first.clocks if c.is_incremental] == [64]
    assert first.primary_trace_clock == 3
    assert trace.packet[0].trace_packet_defaults.timestamp_clock_id == 64
    assert {p.trusted_packet_sequence_id for p in trace.packet} == {1}


def test_rcu_waits_at_the_same_time_have_tracks_of_their_own():
    rows = [row(t_start=T0_NS + n, tid=n + 1, rcu_ns=100) for n in (0, 1, 200)]
    trace, _ = _trace(rows)
    tracks = _tracks(trace)
    waits = [s for s in _slices(trace) if tracks[s[0]].name == "RCU waits"]
    assert len(waits) == 3
    assert len({track for track, *_ in waits}) == 2
    assert {tracks[tracks[track].parent_uuid].name for track, *_ in waits} == {"RCU waits"}


def test_rcu_waits_have_a_track_only_if_asked_for():
    trace, _ = _trace([row(t_start=T0_NS, rcu_ns=100)], rcu_track=False)
    assert [name for _, name, *_ in _slices(trace)] == ["RCU wait", "umount"]


def test_events_before_those_that_were_written_keep_their_time(monkeypatch):
    monkeypatch.setattr(packets, "_MOST_SORTED", 4)
    starts = (5_000, 900, 7_000, -9_000, 100)
    rows = [row(t_start=T0_NS + at, tid=n + 1, rcu_ns=9) for n, at in enumerate(starts)]
    trace, _ = _trace(rows, rcu_track=False)
    begins = [begin for _, name, begin, *_ in _slices(trace) if name != "RCU wait"]
    assert sorted(begins) == sorted(10_000 + at for at in starts)
    clocks = {p.timestamp_clock_id for p in trace.packet if p.HasField("track_event")}
    assert clocks == {0, 3}, "differences, and where they would be negative none"


def test_the_tables_of_texts_begin_anew_when_they_are_full(monkeypatch):
    monkeypatch.setattr(packets, "_MOST_SORTED", 8)
    monkeypatch.setattr(packets, "_MOST_TEXTS", 16)
    rows = [row(t_start=T0_NS + n * 500, rcu_ns=9, path=f"/m/{n}") for n in range(100)]
    trace, _ = _trace(rows)
    names = {name for _, name, *_ in _slices(trace) if name.startswith("umount ")}
    assert names == {f"umount /m/{n}" for n in range(100)}
    assert sum(p.sequence_flags == 1 for p in trace.packet) > 3


@pytest.mark.parametrize("name", ["storm", "lab-6.12", "lab-ebusy", "first-look"])
def test_recordings_are_read_by_both_and_are_small(tmp_path, name):
    file = tmp_path / "trace"
    source = RECORDINGS / f"{name}.umt"
    assert run(["export", str(source), "--to", "perfetto", "-o", str(file)]) == 0
    slices = _slices(_parsed(file.read_bytes()))
    umounts = [s for s in slices if s[1].startswith("umount") and s[1] != "umount tree"]
    assert len(umounts) > 10
    assert file.stat().st_size <= MOST_BYTES * len(umounts)


def test_blocks_are_deflated_behind_a_plain_first_packet(monkeypatch):
    monkeypatch.setattr(packets, "_BLOCK", 4096)
    out = io.BytesIO()
    write_perfetto(out, CLOCK, [batch_of(container_host(200))])
    trace = Trace.FromString(out.getvalue())
    first, *rest = trace.packet
    assert first.HasField("clock_snapshot")
    assert len(rest) > 3
    assert {f.name for p in rest for f, _ in p.ListFields()} == {"compressed_packets"}
    _parsed(out.getvalue())


def test_ebusy_windows_have_their_track():
    windows = [
        {
            "class": "held",
            "begin": T0_NS + 5,
            "duration_ns": 100,
            "path": "/mnt",
            "spurious": False,
        },
        {"class": "held", "begin": T0_NS + 9, "duration_ns": None, "path": None},
        {"class": "held", "begin": None},
    ]
    trace, _ = _trace([], windows)
    found = _slices(trace)
    assert [(name, begin, end) for _, name, begin, end, _ in found] == [
        ("held", 10_009, 10_009),
        ("held /mnt", 10_005, 10_105),
    ]
    assert found[1][4]["spurious"] is False


def test_an_unknown_latency_is_left_out():
    assert _trace([row(t_start=T0_NS, latency_ns=None)])[1] == 0


def test_everything_of_a_busy_host_pairs_up():
    trace, written = _trace(container_host(200))
    assert written == 200
    names = [name for _, name, *_ in _slices(trace)]
    assert sum(name.startswith("umount") and name != "umount tree" for name in names) >= 200


def test_the_command_writes_it(path, tmp_path, capsys):
    target = tmp_path / "rec.pftrace"
    assert run(["export", str(path), "--to", "perfetto", "-o", str(target)]) == 0
    assert len(_slices(parse(target.read_bytes()))) > 400
    lazy = ["export", str(path), "--to", "perfetto", "-fo", str(target), "--mode", "lazy"]
    assert run(lazy) == 0
    slices = _slices(parse(target.read_bytes()))
    args = [args for _, name, *_, args in slices if "mode" in args]
    assert {each["mode"] for each in args} == {"lazy"}
    assert run(["export", str(path), "--to", "perfetto", "--columns", "id"]) == 2
    assert "--columns is for csv and jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")]
)
def test_varint(value, encoded):
    assert varint(value) == encoded


def test_a_negative_number_takes_ten_bytes():
    assert len(number(1, -1)) == 11


def test_reads_nothing_but_its_columns():
    from umtrace.present.perfetto import COLUMNS

    batch = batch_of(container_host(3)).select(list(COLUMNS))
    assert isinstance(batch, pa.RecordBatch)
    assert write_perfetto(io.BytesIO(), CLOCK, [batch]) == 3


def test_a_teardown_is_a_slice_with_the_steps_of_its_path_inside():
    rows = [umount(0, 5, tid=1, id=0), umount(6, 4, tid=1, id=1), umount(0, 9, tid=2, id=2)]
    trace, _ = _trace([], teardowns=[one(rows)])
    slices = {name: (begin, end, args) for _, name, begin, end, args in _slices(trace)}
    begin, end, args = slices["namespace 4026532177"]
    assert (begin, end) == (10_000, 10_010)
    assert args["umounts"] == 3
    assert "saved_ns" not in args, "unknown"
    steps = [(b, e, a) for _, name, b, e, a in _slices(trace) if name == "/m/1"]
    assert sorted(steps, key=lambda step: step[0]) == [
        (10_000, 10_005, {"umount_id": 0, "link": "task"}),
        (10_006, 10_010, {"umount_id": 1, "link": "end"}),
    ]
    assert {track.name for track in _tracks(trace).values()} == {"Teardowns"}
