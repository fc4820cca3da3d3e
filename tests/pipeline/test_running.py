"""What a report says of umounts that had not ended when the recording did."""

from __future__ import annotations

import pytest

from tests.builders import MASK, Stream
from umtrace.correlate.waits import Wait
from umtrace.model.clock import ClockPair, monotonic_ns
from umtrace.model.events import Kind
from umtrace.pipeline import Until, record
from umtrace.present.heading import heading_of
from umtrace.present.report.as_text import report_text
from umtrace.query.selection import Selection
from umtrace.recording import Recording
from umtrace.report_contents import answer_of, gather, report_of
from umtrace.sources.fake import FakeSource

S = 1_000_000_000


def stream(now, number):
    found = Stream().umount(3, now - 9 * S)
    for tid in range(7, 7 + number):
        begun = now - 8 * S + tid
        found.path(begun, tid, b"/mnt/%d" % tid)
        seq = begun & MASK
        found.event(begun, tid, Kind.ENTER, a=1, b=77, seq=seq, comm=b"umount")
        found.off_cpu(now - 6 * S, tid, Wait.RCU_EXPEDITED, (seq + 1) & MASK)
    return found.umount(4, now - 5 * S)


@pytest.fixture
def noted(tmp_path):
    def of(number):
        source = FakeSource(
            [stream(monotonic_ns(), number).batch()], tier="tracepoint", clock=ClockPair.now()
        )
        path = tmp_path / f"{number}.umt"
        record(path, source, until=Until())
        opened = Recording.open(path)
        return report_of(gather(Selection(opened), ["mode"]), heading_of(opened, "", []))

    return of


def test_a_hang_has_its_time_so_far_and_its_wait(noted):
    report = noted(1)
    (note,) = [note for note in report.notes if "still unmounts" in note]
    assert note.startswith("umount (pid 7) still unmounts /mnt/7: 8.")
    assert "s so far, in the RCU wait for 6." in note
    assert "still unmounts /mnt/7" in report_text(report)


def test_of_many_that_hang_the_report_has_three(noted):
    notes = [note for note in noted(9).notes if "unmounts" in note or "had not" in note]
    assert len(notes) == 4
    assert notes[-1] == "6 more umounts had not ended"


def test_a_recording_in_which_all_ended_has_none(noted):
    assert not [note for note in noted(0).notes if "unmounts" in note]


def test_the_first_sentence_begins_with_what_hangs(noted):
    text = noted(1).answer
    assert text.startswith("1 umount still ran at the end: /mnt/7, for 8.")
    assert "s, in the RCU wait; 3 umounts, " in text
    assert noted(9).answer.startswith("9 umounts still ran at the end: the longest /mnt/7, for 8.")
    assert "still ran" not in noted(0).answer


def test_an_umount_that_runs_has_not_failed(noted):
    text = report_text(noted(2))
    assert "outcome unknown: 2 umounts, which had not ended" in text
    (line,) = [line for line in text.splitlines() if line.startswith("sync ")]
    assert line.split()[1:4] == ["4", "0", "latency"]
    assert "outcome unknown" not in report_text(noted(0))


def test_nothing_is_added_where_all_umounts_hang(tmp_path):
    begun = monotonic_ns() - 61 * S
    made = Stream().event(begun, 7, Kind.ENTER, a=1, b=77, seq=begun & MASK, comm=b"umount")
    source = FakeSource([made.batch()], tier="tracepoint", clock=ClockPair.now())
    record(tmp_path / "r.umt", source, until=Until())
    text = answer_of(Recording.open(tmp_path / "r.umt"))
    assert text.startswith("1 umount still ran at the end: an unknown path, for ")
    assert text.endswith("in another phase.")
