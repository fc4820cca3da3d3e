"""The recorder's own windows are read where they answer the question, else made again."""

from __future__ import annotations

import pytest

from tests.stats.rows import T0_NS, batch_of, row
from umtrace import recorded
from umtrace.ebusy.attempts import attempts, interesting
from umtrace.pipeline import WITHIN
from umtrace.recording import Meta, Recording, RecordingWriter
from umtrace.records.clock import ClockPair
from umtrace.records.events import EventBatch
from umtrace.records.windows import EbusyWindow, windows_to_arrow
from umtrace.stats.filters import RowFilter

MARK = EbusyWindow(klass="expire", spurious=False, begin_ns=T0_NS, end_ns=T0_NS + 5, attempts=9)


def _rows():
    times = (row(t_start=T0_NS + n * 1_000_000, latency_ns=1000, id=n) for n in range(6))
    told = [("/a", 16), ("/b", 0), ("/a", 16), ("/c", 16), ("/a", 0), ("/c/", 0)]
    return [r | {"path": p, "errno": e} for r, (p, e) in zip(times, told, strict=True)]


@pytest.fixture
def recording(tmp_path):
    def write(**extra):
        meta = Meta(tier="synthetic", clock=ClockPair(5, T0_NS), extra=extra)
        with RecordingWriter(tmp_path / "r.umt", meta) as writer:
            writer.write(EventBatch(), batch_of(_rows()))
            writer.append("ebusy", windows_to_arrow([MARK]))
        return Recording.open(tmp_path / "r.umt")

    return write


def _classes(*given, **named):
    return [
        n for rows in recorded.window_batches(*given, **named) for n in rows["class"].to_pylist()
    ]


def test_stored_windows_are_read(recording):
    opened = recording(**{WITHIN: 1000})
    assert _classes(opened) == ["expire"]
    assert _classes(opened, spurious_within_ns=1000) == ["expire"]
    totals, longest = recorded.window_summary(opened, RowFilter(), 3)
    assert (len(totals), longest.num_rows) == (1, 1)


def test_another_question_is_answered_from_the_rows(recording):
    opened = recording(**{WITHIN: 1000})
    assert _classes(opened, spurious_within_ns=2_000_000) == ["unknown", "transient-ref"]
    assert _classes(opened, RowFilter(errno=(16,))) == ["unknown", "unknown"]


def test_an_unknown_threshold_is_not_the_one_asked_for(recording):
    assert _classes(recording(), spurious_within_ns=10_000_000) == ["transient-ref"] * 2


def test_only_rows_that_may_matter_become_attempts():
    rows = batch_of([*_rows(), row(t_start=T0_NS, path="/b", errno=0, tid=77)])
    mask = interesting(rows, (), ())
    assert mask.tolist() == [True, False, True, True, True, True, False]
    assert [a.path for a, _ in attempts(rows, mask)] == ["/a", "/a", "/c", "/a", "/c/"]
    assert interesting(rows, (), (77,)).tolist()[-1]
    assert interesting(batch_of(_rows()[1:2]), [("path", None, "/b", None)], ()).tolist() == [True]
