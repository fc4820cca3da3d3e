"""When the stage asks for a look through /proc."""

from __future__ import annotations

import pytest

from tests.ebusy.streams import busy, scan, umount
from tests.stats.rows import batch_of
from umtrace.pipeline.ebusy import EbusyStage

DETACH = 2


class Looks:
    """A scanner that notes what it is asked for, and answers what it is given."""

    def __init__(self):
        self.asked, self.ready, self.pending = [], [], set()

    def ask(self, requests):
        self.asked += [(request.umount_id, request.over) for request in requests]
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
