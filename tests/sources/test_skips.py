"""What is put before a batch that may lack puts."""

from __future__ import annotations

import numpy as np

from umtrace.model.events import EVENT_DTYPE, Kind
from umtrace.sources.bpf.missed_puts import MissedPuts


def batch():
    events = np.zeros(2, EVENT_DTYPE)
    events["kind"] = Kind.PUT
    return events


def test_a_batch_after_which_more_is_missing_is_marked_at_its_head():
    lost = [3]
    watch = MissedPuts([lambda: lost[0], lambda: None])
    whole = batch()
    assert watch.note(whole) is whole
    lost[0] = 8
    marked = watch.note(batch())
    assert marked["kind"].tolist() == [Kind.SKIPPED, Kind.PUT, Kind.PUT]
    assert marked["b"][0] == 5
    assert 0 < marked["a"][0] <= marked["ts_ns"][0]
    assert len(watch.note(batch())) == len(batch())
