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
from umtrace.report_contents import gather, report_of
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
        record(tmp_path / "r.umt", source, until=Until())
        opened = Recording.open(tmp_path / "r.umt")
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
