from __future__ import annotations

import threading

import pytest

from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.query.prefetch import prefetch
from umtrace.query.selection import Selection
from umtrace.query.worst import worst
from umtrace.recording import Meta, Recording, RecordingWriter
from umtrace.stats.columns import plain_rows
from umtrace.stats.filters import RowFilter


@pytest.fixture
def recording(tmp_path):
    meta = Meta(tier="fentry", clock=ClockPair(5, T0_NS), start_ns=T0_NS)
    with RecordingWriter(tmp_path / "rec.umt", meta) as writer:
        for first in range(0, 200, 50):
            writer.write(EventBatch(), batch_of(container_host(200)[first : first + 50]))
    return Recording.open(tmp_path / "rec.umt")


def test_extent_is_from_the_first_begin_to_the_last_end(recording):
    rows = container_host(200)
    starts = [r["t_start"] for r in rows]
    ends = [r["t_start"] + r["latency_ns"] for r in rows]
    assert Selection(recording).extent() == (200, min(starts), max(ends))
    assert Selection(recording, RowFilter(pid=(1,))).extent() == (0, 0, 0)


def test_span_and_filter_choose_rows(recording):
    half = T0_NS + 100 * 50_000_000
    later = Selection(recording).within((half, None))
    assert later.extent()[0] == 100
    assert later.summary(()).total.count == 100
    lazy = Selection(recording, RowFilter(mode=("lazy",)))
    assert lazy.summary().total.count == 62


def test_worst_is_the_top_of_the_sorted_rows(recording):
    found = worst(Selection(recording), 7)
    best = sorted(container_host(200), key=lambda r: -r["latency_ns"])[:7]
    assert [r["id"] for r in found] == [r["id"] for r in best]
    assert [r["t_start"] for r in found] == [r["t_start"] for r in best]
    lazy = worst(Selection(recording, RowFilter(mode=("lazy",))), 3)
    assert {r["mode"] for r in lazy} == {"lazy"}
    assert len(worst(Selection(recording), 1000)) == 200
    assert worst(Selection(recording, RowFilter(pid=(1,)))) == []


def test_a_summary_is_made_once(recording):
    selection = Selection(recording)
    assert selection.summary() is selection.summary()
    assert selection.summary(()) is not selection.summary()


def test_plain_rows_have_no_pandas_times():
    (found,) = plain_rows([batch_of([row(t_start=T0_NS)])])
    assert found["t_start"] == T0_NS
    assert found["mode"] == "sync"


def test_read_ahead_keeps_order_and_errors():
    assert list(prefetch(range(100))) == list(range(100))

    def broken():
        yield 1
        raise ValueError("no more")

    ahead = prefetch(broken())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no more"):
        next(ahead)


def test_read_ahead_stops_with_its_reader():
    ahead = prefetch(iter(int, 1))
    assert next(ahead) == 0
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name == "umtrace-read-ahead"]


def test_a_summary_is_made_once_and_answers_for_fewer_metrics(recording):
    chosen = Selection(recording)
    whole = chosen.summary(("mode",))
    assert chosen.summary(("mode",), ("rcu_ns",)) is whole
    assert chosen.summary(("errno",), ("rcu_ns",)) is not whole


def test_what_nobody_unmounted_is_left_out_unless_asked_for(tmp_path):
    rows = container_host(6)
    for each, origin in zip(rows, ["umount", "mount-internal", None, "ns-exit"], strict=False):
        each["origin"] = origin
    meta = Meta(tier="fentry", clock=ClockPair(5, T0_NS), start_ns=T0_NS)
    with RecordingWriter(tmp_path / "internal.umt", meta) as writer:
        writer.write(EventBatch(), batch_of(rows))
    opened = Recording.open(tmp_path / "internal.umt")
    assert Selection(opened).summary(()).total.count == 5
    assert Selection(opened, internal=True).extent()[0] == 6
    internal = RowFilter(origin=("mount-internal",))
    assert internal.describe() == "--origin mount-internal"
    assert [r["id"] for r in worst(Selection(opened, internal), 9)] == [rows[1]["id"]]
