"""Umounts that hang, as a run reports them while they do."""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext

import pytest

from tests.builders import Stream
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.correlate.waits import Wait
from umtrace.model.events import Kind, OnStack
from umtrace.model.hangs import Hang
from umtrace.model.open_tasks import OpenTask
from umtrace.model.umounts import SCHEMA as ROWS
from umtrace.pipeline import Until, run
from umtrace.pipeline.hangs import MOST, HangWatch
from umtrace.present.lines import behind_lines, hang_lines, line
from umtrace.present.rows import hang_json
from umtrace.sources.fake import FakeSource
from umtrace.stats.filters import RowFilter

S = 1_000_000_000


def fed(stream, tier="tracepoint"):
    correlator = UmountCorrelator(clock_offset_ns=0, tier=tier)
    correlator.feed(stream.batch())
    return correlator


def began(stream, tid=7, t0=S):
    stream.path(t0, tid, b"/mnt/dead")
    return stream.event(t0, tid, Kind.ENTER, ret=0, a=1, b=77, seq=t0, comm=b"umount")


@pytest.mark.parametrize(
    ("wait", "phase"),
    [
        (Wait.LOOKUP, "lookup"),
        (Wait.NAMESPACE_LOCK, "lock"),
        (Wait.RCU_EXPEDITED, "rcu"),
        (Wait.RCU_QUEUE, "rcu"),
        (Wait.SHUTDOWN, "shutdown"),
        (Wait.OTHER, "other"),
    ],
)
def test_a_sleeping_task_is_in_the_phase_of_its_stack(wait, phase):
    stream = began(Stream()).off_cpu(S + 5, 7, wait, S + 1)
    rows, (where,) = fed(stream).unfinished(2 * S)
    assert (where.phase, where.begun_ns, where.since_ns) == (phase, S, S + 5)
    assert rows.column("path").to_pylist() == ["/mnt/dead"]


#: events of an umount in a function tier, and where it is after each
_FUNCTIONS = [
    ((), "lookup", 0),
    ((Kind.PATH_UMOUNT,), "lock", 1),
    ((Kind.PATH_UMOUNT, Kind.CHECK), "tree", 2),
    ((Kind.PATH_UMOUNT, Kind.TREE, Kind.UNLOCK, Kind.RCU), "rcu", 3),
    ((Kind.PATH_UMOUNT, Kind.TREE, Kind.UNLOCK, Kind.RCU, Kind.RCU_EXIT), "put", 5),
    (
        (
            Kind.PATH_UMOUNT,
            Kind.TREE,
            Kind.UNLOCK,
            Kind.RCU,
            Kind.RCU_EXIT,
            Kind.UNLOCK_EXIT,
            Kind.PATH_UMOUNT_EXIT,
            Kind.EXIT,
            Kind.CLEANUP,
        ),
        "shutdown",
        8,
    ),
]


@pytest.mark.parametrize(("kinds", "phase", "since"), _FUNCTIONS)
def test_a_task_is_in_the_phase_of_its_last_function(kinds, phase, since):
    stream = began(Stream())
    for number, kind in enumerate(kinds, 1):
        stream.event(S + number, 7, kind, seq=S + number)
    _, (where,) = fed(stream, "fentry").unfinished(2 * S)
    assert (where.phase, where.since_ns - S) == (phase, since)


def test_the_row_that_comes_later_is_whole():
    stream = began(Stream()).off_cpu(S + 5, 7, Wait.LOOKUP, S + 1)
    correlator = fed(stream)
    correlator.unfinished(2 * S)
    more = Stream().event(3 * S, 7, Kind.ON_CPU, seq=S + 2)
    more.event(3 * S + 1, 7, Kind.EXIT, ret=-2, seq=S + 3)
    (row,) = correlator.feed(more.batch()).to_pylist()
    assert (row["path"], row["complete"], row["id"]) == ("/mnt/dead", True, 0)


def test_the_row_of_an_umount_that_hung_for_66_s_beside_others_is_whole():
    now = [S]
    watch = HangWatch(clock=lambda: now[0])
    correlator = fed(began(Stream()).off_cpu(S + 5, 7, Wait.SHUTDOWN, S + 1))
    hangs = 0
    for second in range(2, 67):
        now[0] = second * S
        others = Stream()
        for tid in range(100, 130):
            others.umount(tid, now[0] + tid)
        rows = correlator.feed(others.batch())
        assert rows.column("complete").to_pylist() == [True] * 30
        hangs += len(watch.look(FakeSource(), correlator, RowFilter()))
    more = Stream().event(67 * S, 7, Kind.ON_CPU, seq=S + 2)
    more.event(67 * S + 1, 7, Kind.EXIT, ret=0, seq=S + 3)
    more.event(67 * S + 2, 7, Kind.RETURNED, a=1, seq=S + 4)
    (row,) = correlator.feed(more.batch()).to_pylist()
    assert hangs == 3
    assert (row["path"], row["complete"], row["incomplete_why"]) == ("/mnt/dead", True, None)
    assert row["latency_ns"] == 66 * S + 2


def test_each_umount_is_reported_after_1_10_and_60_seconds():
    now = [S]
    watch, correlator = HangWatch(clock=lambda: now[0]), fed(began(Stream()))
    seen = []
    for tenths in range(1200):
        now[0] = S + tenths * S // 10
        seen += [
            round(hang.so_far_ns / S, 1)
            for hang in watch.look(FakeSource(), correlator, RowFilter())
        ]
    assert [int(s) for s in seen] == [1, 10, 60]


def test_a_filter_holds_for_hangs_too():
    stream = began(began(Stream()), tid=8)
    for filters, number in (({"pid": (8,)}, 1), ({"min_latency_ns": 90 * S}, 0), ({}, 2)):
        watch = HangWatch(clock=lambda: 12 * S)
        assert len(watch.look(FakeSource(), fed(stream), RowFilter(**filters))) == number


def test_thousands_that_hang_are_not_all_reported():
    stream = Stream()
    for tid in range(1000):
        began(stream, tid=tid + 2, t0=S + tid)
    watch = HangWatch(clock=lambda: 30 * S)
    assert len(watch.look(FakeSource(), fed(stream), RowFilter())) == MOST


def test_the_entry_in_the_kernel_says_where_it_is():
    source = FakeSource(open_tasks=[entry(OnStack.TASK_WORK)], tier="tracepoint")
    watch = HangWatch(clock=lambda: 4 * S)
    (hang,) = watch.look(source, fed(began(Stream())), RowFilter())
    assert (hang.phase, hang.so_far_ns, hang.phase_ns) == ("shutdown", 3 * S, 2 * S)


def entry(bits, tid=7, since_ns=2 * S):
    return OpenTask(
        tid=tid,
        pid=tid,
        begun_ns=S,
        since_ns=since_ns,
        kind=Kind.OFF_CPU,
        on_stack=OnStack(bits),
        mount=None,
        flags=0,
        by_function=False,
    )


def test_entries_and_rows_have_the_same_rules_for_stacks():
    stream, every = Stream(), range(sum(OnStack) + 1)
    for bits in every:
        began(stream, tid=bits + 2).event(S + 5, bits + 2, Kind.OFF_CPU, a=bits, seq=S + 1)
    _, where = fed(stream).unfinished(2 * S)
    assert [entry(bits).phase for bits in every] == [w.phase for w in where]


class _Keep:
    def __init__(self):
        self.hangs = []

    def opened(self, _run):
        return nullcontext()

    def take(self, tick):
        self.hangs += tick.hangs

    def finish(self):
        pass


def test_a_run_gives_them_to_its_sinks_and_they_have_a_line_each():
    batch = began(Stream(), t0=1).off_cpu(5, 7, Wait.SHUTDOWN, 2).batch()
    keep = _Keep()
    run(FakeSource([batch], tier="tracepoint"), [keep], until=Until())
    (hang,) = keep.hangs
    (text,) = hang_lines(hang)
    assert "hangs" in text
    assert "/mnt/dead (in the fs shutdown for " in text
    data = json.loads(hang_json(hang))
    assert (data["event"], data["phase"], data["path"]) == ("hang", "shutdown", "/mnt/dead")
    assert data["latency_ns"] is None
    assert data["so_far_ns"] > S


_TIMES_S = (1, 10, 60, 41 * 60, 3600 * 30, 86400 * 900)
_NAMES = {"pid": 4194304, "comm": "containerd-shim", "mode": "expire", "n_mounts": None}


@pytest.mark.parametrize("seconds", _TIMES_S)
@pytest.mark.parametrize("phase", ["lookup", "lock", "tree", "rcu", "put", "shutdown", "other"])
@pytest.mark.parametrize("path", ["/mnt", "/var/lib/containerd/" + "x" * 4000, None])
def test_its_lines_fit_80_columns(seconds, phase, path):
    row = {**dict.fromkeys(ROWS.names), **_NAMES, "path": path, "t_start": S, "origin": "umount"}
    hang = Hang(row=row, phase=phase, so_far_ns=seconds * S, phase_ns=seconds * S)
    lines = hang_lines(hang, 80)
    assert max(map(len, lines)) <= 80
    assert phase == "other" or phase in " ".join(lines).replace("RCU", "rcu").replace("mntp", "p")
    assert (path or "-")[-6:] in lines[0]


@pytest.mark.parametrize("path", ["/mnt", "/var/lib/containerd/" + "x" * 4000])
@pytest.mark.parametrize("name", ["ENAMETOOLONG", "ok"])
def test_lines_of_umounts_fit_80_columns(path, name):
    row = {**dict.fromkeys(ROWS.names), **_NAMES, "path": path, "t_start": S, "origin": "umount"}
    row |= {"errno": 0 if name == "ok" else errno.ENAMETOOLONG, "complete": True, "lock_ns": 9 * S}
    row |= {"lock_holder_tid": 4194304, "lock_holder_comm": "containerd-shim"}
    row |= {"lock_holder_op": "ns-exit", "latency_ns": 3000 * S, "rcu_ns": 3000 * S}
    assert name in line(row, 80)
    lines = [line(row, 80), *behind_lines(row, 80)]
    assert max(map(len, lines)) <= 80
    assert "behind the end of a namespace by containerd-shim" in lines[1]
    assert all(each.endswith(path[-4:]) for each in (lines[0], lines[-1]))
