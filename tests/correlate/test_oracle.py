"""The array code against the plain state machine of the benches: the same rows, however split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.state_machine import rows as plain_rows
from bench.streams import stream
from tests.builders import EBUSY, Stream
from umtrace.correlate import umounts
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.correlate.waits import Wait
from umtrace.model.events import EventBatch, Kind
from umtrace.model.umounts import SCHEMA

#: every column but the number of the row, which depends on the order of what ends at once
SAME = [name for name in SCHEMA.names if name != "id"]


def by_arrays(batches):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="test")
    rows = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    return [*rows, *correlator.finish().to_pylist()]


def by_hand(batches):
    """The plain rows, as what Arrow makes of them: a time is a time."""
    rows = list(plain_rows(batches))
    assert {frozenset(row) for row in rows} <= {frozenset(SCHEMA.names)}  # none is left out
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA).to_pylist()


def in_order(rows):
    return sorted(([row[name] for name in SAME] for row in rows), key=repr)


@pytest.mark.parametrize("tier", ["tracepoint", "fentry"])
@pytest.mark.parametrize("batch", [3000, 100_000])
def test_the_streams_of_the_benches(tier, batch):
    batches = list(stream(tier, 20_000, batch=batch, tasks=7))
    rows = by_arrays(batches)
    assert all(row["complete"] for row in rows)
    assert len(rows) == sum((b.events["kind"] == 1).sum() for b in batches)
    assert in_order(rows) == in_order(by_hand(batches))


def test_a_batch_that_is_taken_in_parts(monkeypatch):
    whole = list(stream("fentry", 9000, batch=9000, tasks=5))
    assert len(whole) == 1
    expected = by_arrays(whole)
    monkeypatch.setattr(umounts, "AT_ONCE", 1000)
    assert by_arrays(whole) == expected


WAITS = [Wait.OTHER, Wait.RCU_EXPEDITED, Wait.RCU_NORMAL, Wait.NAMESPACE_LOCK, Wait.LOOKUP]
UMOUNT = st.tuples(
    st.integers(1, 4),  # task
    st.lists(st.tuples(st.sampled_from(WAITS), st.integers(0, 90)), max_size=4),
    st.sampled_from([0, 2]),
    st.sampled_from([0, -EBUSY]),
    st.sampled_from([b"/a", b"/" + b"x" * 500, b""]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(UMOUNT, max_size=12),
    st.lists(st.integers(0, 120), max_size=4),
    st.sets(st.integers(0, 60), max_size=6),
    st.sampled_from([1, 1, 1, -1]),
)
def test_random_streams(umounts, cuts, lost, direction):
    made, clock = Stream(), dict.fromkeys(range(1, 5), 0)
    for task, slept, flags, ret, path in umounts:
        t0 = clock[task] = clock[task] + 5000
        waits = [
            (wait, t0 + 100 * i, t0 + 100 * i + ns if ns else None)
            for i, (wait, ns) in enumerate(slept, 1)
        ]
        made.umount(100 + task, t0, waits=waits, flags=flags, ret=ret, path=path)
    whole = made.batch()
    order = np.argsort(whole.events["ts_ns"], kind="stable")
    events = whole.events[order]
    # A lost wait only leaves a gap; what a lost end leaves is for the tests of the array code.
    waits = np.flatnonzero(np.isin(events["kind"], (Kind.OFF_CPU, Kind.ON_CPU)))
    events = np.delete(events, waits[[number for number in lost if number < len(waits)]])
    if direction < 0:  # a clock that runs backwards, or a file that was damaged
        events = _reversed_times(events)
    edges = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    names = [whole.names, *[whole.names[:0]] * (len(edges) - 2)]  # all of them, once
    batches = [
        EventBatch(events[a:b], some) for (a, b), some in zip(pairwise(edges), names, strict=True)
    ]
    assert in_order(by_arrays(batches)) == in_order(by_hand(batches))


def _reversed_times(events):
    """The same events; all but the first of an operation, which its name is found by, go back."""
    events = events.copy()
    later = events["kind"] != Kind.ENTER
    events["ts_ns"][later] = 1_000_000 - events["ts_ns"][later]
    return events


def test_an_umount_that_returned_without_an_exit():
    made = Stream().umount(7, 100)
    whole = made.batch()
    events = np.delete(whole.events, np.flatnonzero(whole.events["kind"] == Kind.EXIT))
    events["seq"][-1] -= 1
    batches = [EventBatch(events, whole.names)]
    assert in_order(by_arrays(batches)) == in_order(by_hand(batches))
    assert [row["complete"] for row in by_arrays(batches)] == [False]
