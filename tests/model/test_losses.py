"""The ledger of losses: sums, and what comes back from JSON."""

from __future__ import annotations

import json

import pytest

from umtrace.model.losses import LossReport


def test_reports_add_up_field_by_field():
    one = LossReport(ring_events=1, ring_events_per_cpu=(1, 0), probe_misses_by={"a": 1, "b": 2})
    other = LossReport(ring_events=2, ring_events_per_cpu=(0, 2, 3), probe_misses_by={"b": 1})
    both = one + other
    assert (both.ring_events, both.ring_events_per_cpu) == (3, (1, 2, 3))
    assert both.probe_misses_by == {"a": 1, "b": 3}
    assert both.ring_names is None


def test_unknown_and_known_is_known():
    assert (LossReport() + LossReport(probe_misses_by={"a": 1})).probe_misses_by == {"a": 1}


def test_counts_of_different_kinds_do_not_add_up():
    with pytest.raises(TypeError, match="kinds"):
        LossReport(ring_events=1) + LossReport(ring_events=(1,))


def test_a_report_survives_json():
    report = LossReport(ring_events_per_cpu=(1, 2), probe_misses=3, probe_misses_by={"a": 3})
    assert LossReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_skips_that_spoil_nothing_are_no_loss():
    assert not LossReport(probe_misses=0, probe_misses_by={"um_next_syscall": 7}).lost_anything


def test_what_is_no_count_is_left_out():
    words = {"ring_events": [1], "ring_names": {"a": 1}, "ring_events_per_cpu": 7}
    assert LossReport.from_dict({**words, "probe_misses_by": 7, "stacks_lost": "x"}) == LossReport()
