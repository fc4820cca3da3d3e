"""The trace as Perfetto's own classes read it."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.cli.main import run
from umtrace.model.clock import ClockPair
from umtrace.present.perfetto import write_perfetto
from umtrace.present.protobuf import number, varint

CLOCK = ClockPair(10_000, T0_NS)


def _trace(rows, windows=()):
    out = io.BytesIO()
    written = write_perfetto(out, CLOCK, [batch_of(rows)], windows)
    trace = Trace()
    trace.ParseFromString(out.getvalue())
    return trace, written


def _slices(trace):
    """Return (track, name, begin, end, args), and fail where begins and ends do not match."""
    stacks, found = {}, []
    packets = [p for p in trace.packet if p.HasField("track_event")]
    for packet in sorted(packets, key=lambda p: p.timestamp):
        event = packet.track_event
        stack = stacks.setdefault(event.track_uuid, [])
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            args = {a.name: getattr(a, a.WhichOneof("value")) for a in event.debug_annotations}
            stack.append((event.name, packet.timestamp, args))
        else:
            name, begin, args = stack.pop()
            found.append((event.track_uuid, name, begin, packet.timestamp, args))
    assert not any(stacks.values())
    return found


def _tracks(trace):
    return {
        p.track_descriptor.uuid: p.track_descriptor for p in trace.packet if p.track_descriptor.uuid
    }


def test_an_umount_is_a_slice_with_its_phases_in_order():
    one = row(t_start=T0_NS + 500, tid=7, pid=5, path="/mnt", rcu_ns=40, tree_ns=10, shutdown_ns=50)
    trace, written = _trace([one])
    assert written == 1
    slices = {name: (begin, end) for _, name, begin, end, args in _slices(trace)}
    assert slices["umount /mnt"] == (10_500, 10_600)
    assert slices["umount tree"] == (10_500, 10_510)
    assert slices["fs shutdown"] == (10_550, 10_600)
    notes = [args for _, name, *_, args in _slices(trace) if name == "fs shutdown"]
    assert notes == [{"duration_ns": 50, "position": "by order; durations are measured"}]


def test_tasks_are_threads_of_their_processes():
    rows = [row(t_start=T0_NS, pid=5, tid=tid, comm="runc", rcu_ns=9) for tid in (5, 6)]
    tracks = _tracks(_trace(rows)[0])
    threads = [t for t in tracks.values() if t.HasField("thread")]
    assert [(t.thread.pid, t.thread.tid) for t in threads] == [(5, 5), (5, 6)]
    assert {tracks[t.parent_uuid].process.process_name for t in threads} == {"runc"}


def test_times_are_on_the_monotonic_clock_and_tied_to_the_wall():
    trace, _ = _trace([row(t_start=T0_NS, rcu_ns=9)])
    first = trace.packet[0].clock_snapshot
    assert {c.clock_id: c.timestamp for c in first.clocks} == {3: 10_000, 1: T0_NS}
    assert first.primary_trace_clock == 3
    assert {p.timestamp_clock_id for p in trace.packet if p.HasField("track_event")} == {3}
    assert {p.trusted_packet_sequence_id for p in trace.packet} == {1}


def test_rcu_waits_at_the_same_time_have_tracks_of_their_own():
    rows = [row(t_start=T0_NS + n, tid=n + 1, rcu_ns=100) for n in (0, 1, 200)]
    trace, _ = _trace(rows)
    tracks = _tracks(trace)
    waits = [s for s in _slices(trace) if tracks[s[0]].name == "RCU waits"]
    assert len(waits) == 3
    assert len({track for track, *_ in waits}) == 2
    assert {tracks[tracks[track].parent_uuid].name for track, *_ in waits} == {"RCU waits"}


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
    trace = Trace()
    trace.ParseFromString(target.read_bytes())
    assert len(_slices(trace)) > 400
    lazy = ["export", str(path), "--to", "perfetto", "-fo", str(target), "--mode", "lazy"]
    assert run(lazy) == 0
    trace.ParseFromString(target.read_bytes())
    args = [args for _, name, *_, args in _slices(trace) if "mode" in args]
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
