"""The recorder's own windows are read where they answer the question, else made again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stats.rows import T0_NS, batch_of, row
from umtrace import report_contents
from umtrace.ebusy.attempts import attempts, candidate_rows
from umtrace.model.clock import ClockPair
from umtrace.model.events import (
    ARMING_MASK,
    ARMING_NS_SHIFT,
    ARMING_SHIFT,
    EVENT_DTYPE,
    EventBatch,
    Kind,
)
from umtrace.model.holders import Holder
from umtrace.model.windows import EbusyWindow, windows_from_arrow, windows_to_arrow
from umtrace.pipeline import offline
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.recorder import WITHIN
from umtrace.present.ebusy import window_line
from umtrace.query.selection import Selection
from umtrace.query.window_filter import WindowFilter
from umtrace.recording import Meta, Recording, RecordingWriter
from umtrace.stats.filters import RowFilter

NO_FILTER = RowFilter()
MARK = EbusyWindow(
    klass="expire",
    spurious=False,
    begin_ns=T0_NS,
    end_ns=T0_NS + 5,
    attempts=9,
    path="/a",
    first_success_ns=5,
    holders=(Holder(kind="fd", of="mount", pid=7, comm="cat"),),
)


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
    return report_contents.windows_table(chosen, **named)["class"].to_pylist()


def test_stored_windows_are_read(recording):
    opened = recording(**{WITHIN: 1000})
    assert _classes(opened) == ["expire"]
    assert _classes(opened, spurious_within_ns=1000) == ["expire"]
    found = report_contents.gather(Selection(opened), ["mode"])
    totals, longest = found.windows, found.longest
    assert (len(totals), longest.num_rows) == (1, 1)


def test_a_line_about_a_window_has_all_that_it_needs(recording):
    opened = recording(**{WITHIN: 1000})
    in_line = report_contents.gather(Selection(opened), ["mode"]).longest
    whole = report_contents.gather(Selection(opened), ["mode"], columns=None).longest
    (line,) = map(window_line, windows_from_arrow(in_line))
    (expected,) = map(window_line, windows_from_arrow(whole))
    assert line == expected == "  EBUSY expire (real), 9 calls, held at most 5 ns: /a: cat 7 (fd)"


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
    mask = candidate_rows(rows, (), ())
    assert mask.tolist() == [True, False, True, True, True, True, False]
    assert [a.path for a, *_ in attempts(rows, mask)] == ["/a", "/a", "/c", "/a", "/c/"]
    assert candidate_rows(rows, (), (77,)).tolist()[-1]
    assert candidate_rows(batch_of(_rows()[1:2]), [("path", None, "/b", None)], ()).tolist() == [
        True
    ]


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
    totals = report_contents.gather(Selection(opened, RowFilter(comm=("b",))), ["mode"]).windows
    assert len(totals) == 1


def test_windows_are_begun_by_rows_in_any_order_and_number():
    windows = windows_to_arrow(
        [
            EbusyWindow(klass="held", spurious=False, begin_ns=1, end_ns=2, umount_id=n)
            for n in (7, None, 3, 7, 9)
        ]
    )
    begun = WindowFilter([windows])
    begun.add(batch_of([row(id=9), row(id=8), row(id=100), row(id=0)]))
    begun.add(batch_of([row(id=3)]))
    assert begun.keep(windows)["umount_id"].to_pylist() == [3, 9]
    assert not WindowFilter([]).keep(windows.slice(0, 0)).num_rows


_MS, _TID, _MNT, _PASSES = 1_000_000, 7, 0xFFFF888000001000, 5


def _event(at_ns, kind, **given):
    event = np.zeros(1, EVENT_DTYPE)
    values = {"ts_ns": at_ns, "kind": kind, "tid": _TID, "mnt": _MNT, **given}
    for name, value in values.items():
        event[name] = value
    return event


def _busy_and_walked(begin_ns):
    """An umount among path walks, and one that succeeds 50 ms later: what probes see of both."""
    number = ((begin_ns + 1000 >> ARMING_NS_SHIFT) & ARMING_MASK) << ARMING_SHIFT
    yield _event(begin_ns + 2000, Kind.CHECKED, ret=1, a=3)
    yield _event(begin_ns + 30 * _MS, Kind.PUT, tid=9, ret=5, a=number | 1 << 32, b=3)
    yield _event(begin_ns + 50 * _MS + 500, Kind.PATH_UMOUNT_EXIT, a=number)


@pytest.fixture
def with_events(tmp_path):
    """Record five such mounts, a second apart; ``lost`` is (begin, read) of a loss."""

    def write(lost):
        meta = Meta(tier="synthetic", clock=ClockPair(0, 0), extra={WITHIN: 10 * _MS})
        begins = [T0_NS + n * 1000 * _MS for n in range(_PASSES)]
        rows, events = [], []
        for number, begin in enumerate(begins):
            same = {"tid": _TID, "path": f"/{number}", "latency_ns": 10_000, "tier": "fentry"}
            rows += [row(t_start=begin, id=2 * number, errno=16, refcount=3, **same)]
            rows += [row(t_start=begin + 50 * _MS, id=2 * number + 1, errno=0, **same)]
            events += _busy_and_walked(begin)
        begin, read = lost
        events.insert(0, _event(T0_NS + read, Kind.SKIPPED, a=T0_NS + begin, b=1, tid=0, mnt=0))
        with RecordingWriter(tmp_path / "r.umt", meta) as writer:
            writer.write(EventBatch(np.concatenate(events)), batch_of(rows))
        return tmp_path / "r.umt"

    return write


@pytest.fixture
def few_at_once(monkeypatch):
    """Have events be read four at a time; a chunk has thousands."""
    whole = Recording.event_batches

    def cut(opened):
        for batch in whole(opened):
            for at in range(0, len(batch.events), 4):
                yield EventBatch(batch.events[at : at + 4])

    monkeypatch.setattr(Recording, "event_batches", cut)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("at_once", [1, 3, 128])
@pytest.mark.parametrize(
    ("lost_ms", "unknown"), [((239_990, 240_000), 0), ((-2000, 240_000), 5), ((4020, 240_000), 1)]
)
def test_what_was_lost_is_heeded_however_late_it_was_read(
    with_events, monkeypatch, at_once, lost_ms, unknown
):
    monkeypatch.setattr(offline, "_ROWS_WITH_EVIDENCE", at_once)
    path = with_events([ms * _MS for ms in lost_ms])
    said = [window.klass for window in offline.ebusy_windows(path)]
    assert said == ["transient-ref"] * (_PASSES - unknown) + ["unknown"] * unknown
