"""The recorder's own windows are read where they answer the question, else made again."""

from __future__ import annotations

import pytest

from tests.stats.rows import T0_NS, batch_of, row
from umtrace import reported
from umtrace.ebusy.attempts import attempts, interesting
from umtrace.ebusy.live import EbusyStage
from umtrace.pipeline import WITHIN
from umtrace.recording import Meta, Recording, RecordingWriter
from umtrace.records.clock import ClockPair
from umtrace.records.events import EventBatch
from umtrace.records.windows import EbusyWindow, windows_to_arrow
from umtrace.stats.begun import Begun
from umtrace.stats.filters import RowFilter
from umtrace.stats.selection import Selection

NO_FILTER = RowFilter()
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


def _classes(opened, row_filter=NO_FILTER, **named):
    chosen = Selection(opened, row_filter)
    return reported.windows_table(chosen, **named)["class"].to_pylist()


def test_stored_windows_are_read(recording):
    opened = recording(**{WITHIN: 1000})
    assert _classes(opened) == ["expire"]
    assert _classes(opened, spurious_within_ns=1000) == ["expire"]
    totals, longest = reported.window_summary(Selection(opened), 3)
    assert (len(totals), longest.num_rows) == (1, 1)


def test_another_question_is_answered_from_the_rows(recording):
    opened = recording(**{WITHIN: 1000})
    assert _classes(opened, spurious_within_ns=2_000_000) == ["unknown", "transient-ref"]


def test_a_damaged_table_is_made_again_from_the_rows(recording):
    opened = recording(**{WITHIN: 2_000_000})
    (chunk,) = opened.path.glob("ebusy-*.parquet")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    assert _classes(opened) == ["unknown", "transient-ref"]
    assert [problem for problem in opened.problems if chunk.name in problem]


def test_an_unknown_threshold_is_not_the_one_asked_for(recording):
    assert _classes(recording(), spurious_within_ns=10_000_000) == ["transient-ref"] * 2


def test_only_rows_that_may_matter_become_attempts():
    rows = batch_of([*_rows(), row(t_start=T0_NS, path="/b", errno=0, tid=77)])
    mask = interesting(rows, (), ())
    assert mask.tolist() == [True, False, True, True, True, True, False]
    assert [a.path for a, _ in attempts(rows, mask)] == ["/a", "/a", "/c", "/a", "/c/"]
    assert interesting(rows, (), (77,)).tolist()[-1]
    assert interesting(batch_of(_rows()[1:2]), [("path", None, "/b", None)], ()).tolist() == [True]


@pytest.mark.parametrize("within", [None, 2_000_000])
def test_a_filter_chooses_windows_by_their_umount_and_leaves_their_verdict(within, tmp_path):
    rows = [each | {"comm": ("a", "b")[n % 2]} for n, each in enumerate(_rows())]
    meta = Meta(tier="synthetic", clock=ClockPair(5, T0_NS), extra={WITHIN: 2_000_000})
    stage = EbusyStage(offset_ns=meta.clock.offset_ns, spurious_within_ns=2_000_000)
    with RecordingWriter(tmp_path / "r.umt", meta) as writer:
        writer.write(EventBatch(), batch_of(rows))
        found = stage.feed(batch_of(rows)).windows + stage.finish().windows
        writer.append("ebusy", windows_to_arrow(found))
    opened = Recording.open(tmp_path / "r.umt")
    named = {"spurious_within_ns": within}
    assert _classes(opened, **named) == ["unknown", "transient-ref"]
    # /a says EBUSY to task a, /c to b; filtered first, the retries would be gone
    assert _classes(opened, RowFilter(comm=("b",)), **named) == ["transient-ref"]
    assert _classes(opened, RowFilter(errno=(16,)), **named) == ["unknown", "transient-ref"]
    assert _classes(opened, RowFilter(errno=(0,)), **named) == []
    totals = reported.report_of(Selection(opened, RowFilter(comm=("b",))), ["mode"]).windows
    assert len(totals) == 1


def test_windows_are_begun_by_rows_in_any_order_and_number():
    windows = windows_to_arrow(
        [
            EbusyWindow(klass="held", spurious=False, begin_ns=1, end_ns=2, umount_id=n)
            for n in (7, None, 3, 7, 9)
        ]
    )
    begun = Begun([windows])
    begun.add(batch_of([row(id=9), row(id=8), row(id=100), row(id=0)]))
    begun.add(batch_of([row(id=3)]))
    assert begun.keep(windows)["umount_id"].to_pylist() == [3, 9]
    assert not Begun([]).keep(windows.slice(0, 0)).num_rows
