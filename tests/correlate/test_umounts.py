from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import EBUSY, Stream, split
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.correlate.waits import Wait
from umtrace.model.events import EventBatch, Kind, OnStack
from umtrace.model.umounts import PHASES, SCHEMA
from umtrace.owners import facts
from umtrace.owners.facts import Fact
from umtrace.owners.recorded import RecordedFacts
from umtrace.owners.resolve import Owners

OFFSET = 1_700_000_000_000_000_000


def correlate(*batches, finish=True, **options):
    correlator = UmountCorrelator(clock_offset_ns=OFFSET, tier="fentry", **options)
    rows = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    if finish:
        rows += correlator.finish().to_pylist()
    return rows, correlator


def one(stream):
    rows, _ = correlate(stream.batch())
    assert len(rows) == 1
    return rows[0]


def test_a_sync_umount_has_its_times():
    row = one(
        Stream().umount(
            7, 1000, waits=[(Wait.RCU_EXPEDITED, 1100, 1500)], end=(1600, 2600), path=b"/mnt/a"
        )
    )
    assert row["id"] == 0
    assert row["t_start"].value == OFFSET + 1000
    assert (row["latency_ns"], row["syscall_ns"]) == (1600, 600)
    assert (row["rcu_ns"], row["shutdown_ns"], row["other_ns"]) == (400, 1000, 200)
    assert (row["lock_ns"], row["lookup_ns"], row["tree_ns"], row["put_ns"]) == (None,) * 4
    assert (row["mode"], row["errno"], row["rcu_kind"]) == ("sync", 0, "expedited")
    assert (row["path"], row["comm"], row["tid"]) == ("/mnt/a", "umount", 7)
    assert (row["origin"], row["latency_bound"], row["mntns"]) == ("umount", "upper", 4026531840)
    assert row["complete"] is True
    assert row["incomplete_why"] is None


def test_lazy_is_known_by_its_flag():
    assert one(Stream().umount(7, 1000, flags=2))["mode"] == "lazy"


def test_a_failure_ends_at_its_exit():
    row = one(Stream().umount(7, 1000, ret=-EBUSY, end=(1250, None)))
    assert (row["errno"], row["latency_ns"], row["latency_bound"]) == (EBUSY, 250, "exact")
    assert row["shutdown_ns"] is None
    assert row["rcu_kind"] == "none"


def test_a_success_that_never_slept_has_an_unknown_wait_not_a_zero():
    row = one(Stream().umount(7, 1000))
    assert row["rcu_ns"] is None
    assert row["rcu_kind"] is None


def test_repeated_and_nested_waits_add_up():
    waits = [
        (Wait.LOOKUP, 1010, 1020),
        (Wait.NAMESPACE_LOCK, 1030, 1050),
        (Wait.NAMESPACE_LOCK, 1060, 1061),
        (Wait.RCU_NORMAL, 1100, 1200),
        (Wait.OTHER, 1210, 1230),
    ]
    row = one(Stream().umount(7, 1000, waits=waits, end=(1300, 1400)))
    assert (row["lookup_ns"], row["lock_ns"], row["rcu_ns"]) == (10, 21, 100)
    assert row["rcu_kind"] == "normal"
    assert row["other_ns"] == 400 - 10 - 21 - 100 - 100


@pytest.mark.parametrize("cut", range(9))
def test_a_wait_whose_end_is_never_told_is_unknown(cut):
    waits = [
        (Wait.RCU_PIGGYBACK, 1010, None),
        (Wait.RCU_EXPEDITED, 1100, 1200),
        (Wait.LOOKUP, 1210, 1230),
        (Wait.NAMESPACE_LOCK, 1240, None),
    ]
    whole = Stream().umount(7, 1000, waits=waits, end=(1300, 1400)).batch()
    parts = [EventBatch(whole.events[:cut], whole.names), EventBatch(whole.events[cut:])]
    (row,), _ = correlate(*parts)
    assert (row["rcu_ns"], row["lock_ns"], row["lookup_ns"]) == (None, None, 20)
    assert (row["complete"], row["latency_ns"]) == (True, 400)


def test_shutdown_seen_means_the_last_put_was_its_own():
    stream = Stream()
    stream.event(1000, 7, Kind.ENTER)
    stream.event(1100, 7, Kind.EXIT, seq=1)
    stream.event(1200, 7, Kind.OFF_CPU, a=OnStack.TASK_WORK, seq=2)
    stream.event(1300, 7, Kind.RETURNED, a=1, seq=3)
    row = one(stream)
    assert (row["final_put"], row["shutdown_ns"], row["complete"]) == ("self", 200, True)


def test_tasks_interleave():
    stream = Stream()
    for tid in range(1, 9):
        waits = [(Wait.RCU_EXPEDITED, 1100 + tid, 1200 + 2 * tid)]
        stream.umount(tid, 1000 + tid, waits=waits, end=(1300, 1400 - tid), path=b"/%d" % tid)
    rows, _ = correlate(stream.batch())
    assert [r["tid"] for r in rows] == [8, 7, 6, 5, 4, 3, 2, 1], "in order of completion"
    assert [r["id"] for r in rows] == list(range(8))
    assert all(r["rcu_ns"] == 100 + r["tid"] for r in rows)
    assert all(r["path"] == f"/{r['tid']}" for r in rows)


def test_namespace_exit():
    row = one(Stream().ns_exit(9, 5000))
    assert (row["origin"], row["n_mounts"], row["mntns"]) == ("ns-exit", 3, 77)
    assert (row["latency_ns"], row["latency_bound"], row["rcu_ns"]) == (100, "approx", 10)
    assert (row["errno"], row["mode"], row["path"], row["complete"]) == (0, None, None, True)


def test_a_path_longer_than_one_record():
    path = b"/" + b"x" * 4000
    assert one(Stream().umount(7, 1000, path=path))["path"] == path.decode()


def test_a_lost_name_is_null():
    stream = Stream().umount(7, 1000)
    stream.names.clear()
    row = one(stream)
    assert row["path"] is None
    assert row["complete"] is True


def test_a_path_with_a_part_missing_is_null():
    stream = Stream().umount(7, 1000, path=b"y" * 700)
    del stream.names[1]
    assert one(stream)["path"] is None


def test_a_path_that_is_not_utf8_can_be_read():
    assert one(Stream().umount(7, 1000, path=b"/\xff"))["path"] == "/\\xff"


# ---- what was not seen, or lost


def check_incomplete(row, why):
    assert row["complete"] is False
    assert row["incomplete_why"] == why
    assert row["latency_ns"] is None
    assert row["syscall_ns"] is None
    assert all(row[phase] is None for phase in PHASES)


def test_exit_without_enter_when_the_trace_began_in_the_middle():
    row = one(Stream().event(1000, 7, Kind.EXIT, ret=-EBUSY, a=1, seq=1))
    check_incomplete(row, "no-enter")
    assert (row["errno"], row["t_start"]) == (EBUSY, None)


def test_alone_exits_of_one_task_stay_apart():
    stream = Stream()
    stream.event(1000, 7, Kind.EXIT, a=1, seq=1).umount(7, 2000)
    rows, correlator = correlate(stream.batch())
    assert [r["complete"] for r in rows] == [False, True]
    assert correlator.losses().unmatched_events == 1
    assert correlator.losses().incomplete_rows == 1


def test_enter_without_exit():
    row = one(Stream().event(1000, 7, Kind.ENTER, ret=2))
    check_incomplete(row, "running")
    assert (row["errno"], row["mode"]) == (None, "lazy")


def test_a_task_that_dies_inside():
    row = one(Stream().umount(7, 1000, dead=True))
    check_incomplete(row, "died")
    assert row["errno"] is None


def test_a_new_operation_supersedes_one_whose_end_was_lost():
    stream = Stream().event(1000, 7, Kind.ENTER).umount(7, 2000)
    rows, _ = correlate(stream.batch())
    check_incomplete(rows[0], "lost-events")
    assert rows[1]["complete"] is True


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_gap_in_the_middle(lost):
    stream = Stream().umount(7, 1000, waits=[(Wait.RCU_EXPEDITED, 1100, 1500)])
    del stream.events[lost]
    check_incomplete(one(stream), "lost-events")


def test_a_lost_stack_makes_the_phases_unknown():
    row = one(Stream().umount(7, 1000, waits=[(Wait.UNKNOWN, 1100, 1500)]))
    check_incomplete(row, "lost-events")


def test_numbers_out_of_order_are_no_loss():
    stream = Stream().umount(7, 1000, waits=[(Wait.RCU_EXPEDITED, 1100, 1500)])
    events = stream.events
    # The third event took its number, was preempted, and came after the next two.
    seqs = [e[9] for e in events]
    order = [seqs[0], seqs[2], seqs[3], seqs[1], seqs[4]]
    stream.events = [(*e[:9], seq, e[10]) for e, seq in zip(events, order, strict=True)]
    assert one(stream)["complete"] is True


def test_two_operations_merged_by_losses_are_never_measured():
    stream = Stream().umount(7, 1000).umount(7, 9000)
    stream.events = [e for i, e in enumerate(stream.events) if i not in {1, 2, 3}]
    rows, _ = correlate(stream.batch())
    assert all(not r["complete"] and r["latency_ns"] is None for r in rows)


def test_open_operations_are_bounded():
    stream = Stream()
    for tid in range(1, 11):
        stream.event(tid, tid, Kind.ENTER)
    rows, correlator = correlate(stream.batch(), finish=False, max_open=4)
    assert [r["tid"] for r in rows] == [1, 2, 3, 4, 5, 6]
    assert {r["incomplete_why"] for r in rows} == {"evicted"}
    assert correlator.n_open == 4


def test_nothing_gives_no_rows_with_the_right_schema():
    correlator = UmountCorrelator(clock_offset_ns=0, tier="test")
    assert correlator.feed(EventBatch()).schema == SCHEMA
    assert correlator.finish().schema == SCHEMA


def test_owners_are_told_by_the_facts():
    stream = Stream()
    for tid in range(1, 100):
        stream.umount(tid, 1000 * tid)
    known = Fact(what=facts.CGROUP, cgroup_id=1, path="/lxc.payload.web", at_row=50)
    rows, _ = correlate(stream.batch(), owners=Owners(RecordedFacts([known])))
    assert [r["container"] for r in rows] == [None] * 50 + ["web"] * 49
    assert {(r["owner"], r["owner_by"]) for r in rows[50:]} == {("web", "mntns")}


# ---- properties

waits = st.lists(
    st.tuples(st.sampled_from(list(Wait)), st.integers(1, 50), st.integers(0, 500)), max_size=5
)
operation = st.tuples(st.sampled_from(["ok", "busy", "ns", "dead"]), st.integers(1, 6), waits)


@st.composite
def streams(draw):
    """Operations of six tasks, each task's one after the other, with events lost at random."""
    stream = Stream()
    now = dict.fromkeys(range(1, 7), 1000)
    for what, tid, raw_waits in draw(st.lists(operation, max_size=25)):
        begin = ts = now[tid]
        placed = []
        for wait, gap, length in raw_waits:
            placed.append((wait, ts + gap, ts + gap + length))
            ts += gap + length
        ts += 10
        if what == "ns":
            relative = tuple((w, b - begin, e - begin) for w, b, e in placed)
            stream.ns_exit(tid, begin, waits=relative, dead=ts - begin)
        else:
            ret = -EBUSY if what == "busy" else 0
            stream.umount(tid, begin, waits=placed, ret=ret, end=(ts, ts + 5), dead=what == "dead")
        now[tid] = ts + draw(st.integers(6, 100))
    batch = stream.batch()
    keep = draw(st.lists(st.integers(0, 9), min_size=len(batch.events), max_size=len(batch.events)))
    lossy = draw(st.booleans())
    mask = np.array([k > 0 or not lossy for k in keep], bool)
    return EventBatch(batch.events[mask], batch.names)


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 120), max_size=12))
def test_any_split_gives_the_same_rows(batch, cuts):
    whole, _ = correlate(batch)
    parts, _ = correlate(*split(batch, [min(c, len(batch.events)) for c in cuts]))
    assert parts == whole


@settings(max_examples=150, deadline=None)
@given(streams())
def test_phases_sum_to_the_latency_and_nothing_is_negative(batch):
    rows, correlator = correlate(batch)
    for row in rows:
        if not row["complete"]:
            assert row["latency_ns"] is None
            continue
        known = [row[phase] for phase in PHASES if row[phase] is not None]
        assert sum(known) == row["latency_ns"]
        assert all(value >= 0 for value in known)
        assert row["rcu_ns"] is None or 0 <= row["rcu_ns"] <= row["latency_ns"]
    assert correlator.n_open == 0
    assert correlator.losses().incomplete_rows == sum(not r["complete"] for r in rows)
