"""Whatever the events say, in whatever order: no row claims what nobody saw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import EVENT_DTYPE, FOREIGN, NAME_DTYPE, EventBatch, Kind
from umtrace.model.umounts import PHASES

DURATIONS = ("latency_ns", "syscall_ns", "tail_ns", *PHASES)
NO_NAMES = np.empty(0, NAME_DTYPE)

#: small ones meet each other, odd ones meet the borders of their fields
WORDS = st.one_of(st.integers(0, 8), st.sampled_from([2**31, 2**32, 2**63, 2**64 - 1]))
TIMES = st.one_of(
    st.integers(100, 160), st.integers(0, 2**40), st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1])
)
EVENT = st.tuples(
    TIMES,
    st.sampled_from([0, 0x1000, 0x2000]),  # mount
    st.integers(7, 8),  # task
    st.sampled_from([*Kind, 0, 77]),
    st.sampled_from([0, 0, 0, 1, FOREIGN]),  # CPU
    st.one_of(st.integers(-17, 8), st.sampled_from([-(2**31), 2**31 - 1])),
    WORDS,
    st.one_of(st.integers(0, 8), st.just(2**32 - 1)),
    st.one_of(st.just(None), st.integers(0, 2**32 - 1)),  # sequence number, None: the next one
)


def events_of(drawn):
    """The events as an array; numbers that follow each other make operations that seem whole."""
    made, following = [], {}
    for ts, mnt, tid, kind, cpu, ret, a, b, seq in drawn:
        number = following.get(tid, 100) if seq is None else seq
        following[tid] = (number + 1) & 0xFFFFFFFF
        made.append((ts, mnt, tid, tid, kind, cpu, ret, a, b, number, b"t"))
    return np.array(made, EVENT_DTYPE)


def rows_of(*parts):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    batches = [correlator.feed(EventBatch(part, NO_NAMES)) for part in parts]
    return [row for batch in [*batches, correlator.finish()] for row in batch.to_pylist()]


def check(row, events):
    for name in DURATIONS:
        assert row[name] is None or row[name] >= 0, (name, row)
    if not row["complete"]:
        return
    assert sum(row[phase] or 0 for phase in PHASES) == row["latency_ns"]
    kinds = {int(e["kind"]) for e in events if e["tid"] == row["tid"]}
    if row["origin"] == "umount":
        assert Kind.EXIT in kinds, row
    assert kinds & {Kind.RETURNED, Kind.DEAD, Kind.EXIT}, row
    assert (row["syscall_ns"] or 0) <= row["latency_ns"]


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENT, max_size=14), st.lists(st.integers(0, 14), max_size=3))
def test_any_events_in_any_split(drawn, cuts):
    events = events_of(drawn)
    whole = rows_of(events)
    for row in whole:
        check(row, events)
    edges = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    assert rows_of(*(events[a:b] for a, b in pairwise(edges))) == whole


def operation(*kinds, opener=Kind.ENTER):
    drawn = [
        (200 + 10 * n, 0x1000, 7, kind, 0, 0, int(kind == Kind.RETURNED), 0, None)
        for n, kind in enumerate(kinds, 1)
    ]
    return events_of([(200, 0x1000, 7, opener, 0, 0, 0, 0, None), *drawn])


@pytest.mark.parametrize(
    ("opener", "kinds"),
    [
        (Kind.TEARDOWN, [Kind.DEAD]),
        (Kind.TEARDOWN, [Kind.RETURNED]),
        (Kind.TEARDOWN, [Kind.UNLOCK, Kind.DEAD]),
        (Kind.TEARDOWN, [Kind.CLEANUP, Kind.CLEANUP_EXIT, Kind.RETURNED]),
        (Kind.ENTER, [Kind.RETURNED]),
        (Kind.ENTER, [Kind.PATH_UMOUNT, Kind.PATH_UMOUNT_EXIT, Kind.RETURNED]),
    ],
)
def test_an_end_that_was_not_seen_leaves_no_times(opener, kinds):
    (row,) = rows_of(operation(*kinds, opener=opener))
    assert (row["complete"], row["incomplete_why"]) == (False, "lost-events")
    assert all(row[name] is None for name in DURATIONS)


def test_times_that_run_backwards_leave_no_times():
    events = operation(Kind.OFF_CPU, Kind.ON_CPU, Kind.EXIT, Kind.RETURNED)
    events["ts_ns"] = [500, 490, 480, 470, 460]
    (row,) = rows_of(events)
    assert (row["complete"], row["latency_ns"]) == (False, None)
