"""When the stage asks for a look through /proc."""

from __future__ import annotations

import pytest

from tests.builders import Stream
from tests.ebusy.streams import busy, scan, umount
from tests.stats.rows import T0_NS, batch_of
from umtrace.model.events import Kind
from umtrace.pipeline.ebusy import EbusyStage

DETACH = 2


class Looks:
    """A scanner that notes what it is asked for, and answers what it is given."""

    def __init__(self):
        self.asked, self.copies, self.ready, self.pending = [], [], [], set()

    def ask(self, requests):
        self.asked += [(request.umount_id, request.over) for request in requests]
        self.copies += [request.copy_mntns for request in requests]
        self.pending |= {request.umount_id for request in requests}

    def answers(self):
        found, self.ready = self.ready, []
        self.pending -= {each.umount_id for each in found}
        return found


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize(
    ("success", "asked"),
    [
        ({}, True),
        ({"path": "/other"}, False),
        ({"mount_id": 5}, False),  # known by more than its path
        ({"flags": DETACH, "mode": "lazy"}, False),
    ],
)
def test_a_success_at_a_busy_path_is_looked_at_once_more(cut, success, asked):
    same = {name: success[name] for name in ("mount_id",) if name in success}
    rows = [busy(0, **same), umount(2, **success)]
    looks = Looks()
    stage = EbusyStage(scanner=looks)
    for some in (rows[:cut], rows[cut:]):
        stage.feed(batch_of(some))
    assert looks.asked == [(rows[0]["id"], False)] + [(rows[1]["id"], True)] * asked


@pytest.mark.parametrize(("mounted", "spurious"), [(True, None), (False, True)])
def test_its_window_waits_for_that_look(mounted, spurious):
    rows, looks = [busy(0), umount(2)], Looks()
    stage = EbusyStage(scanner=looks)
    assert stage.feed(batch_of(rows)).windows == []
    looks.ready = [scan(rows[0], 1), scan(rows[1], 3, mounted=mounted)]
    (window,) = stage.feed(batch_of([])).windows
    assert window.spurious is spurious


@pytest.mark.parametrize(
    ("tid", "at_ns", "copy"), [(7, 50_000, 4026), (8, 50_000, None), (7, 150_000, None)]
)
def test_the_namespace_of_the_copy_in_use_is_that_of_the_call_s_own_check(tid, at_ns, copy):
    row, looks, checked = busy(0, tid=7), Looks(), Stream()
    checked.event(T0_NS + at_ns, tid, Kind.CHECKED, ret=1, a=2, b=4026)
    EbusyStage(scanner=looks).feed(batch_of([row]), checked.batch().events)
    assert looks.copies == [copy]
