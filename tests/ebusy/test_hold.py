"""How long a hold lasted: bounds from retries, samples and the releases that were seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ebusy.streams import MS, busy, fd_of, one, scan, umount
from tests.ebusy.test_departures import OTHER, UMOUNTER, WALKER, put, seen
from umtrace.model.windows import EbusyWindow, windows_from_arrow, windows_to_arrow
from umtrace.present.ebusy import reason_lines, window_line, window_text
from umtrace.present.held import held_short, held_words

HELD = EbusyWindow(klass="held", spurious=False, begin_ns=1, end_ns=None, path="/m")


def test_a_retry_that_succeeds_says_how_long_at_most():
    window = one([busy(0), busy(20), umount(100)])
    assert window.hold == (20 * MS, 100 * MS)


def test_without_a_retry_the_last_ebusy_says_how_long_at_least():
    window = one([busy(0), busy(20)])
    assert window.hold == (20 * MS, None)
    assert held_short(window.hold) == "≥ 20.0 ms"


def test_a_single_ebusy_says_nothing():
    assert one([busy(0)]).hold == (None, None)


def test_a_lazy_umount_is_no_end_of_the_hold():
    assert one([busy(0), umount(100, flags=2)]).hold == (None, None)


def test_a_sample_that_finds_the_holder_says_how_long_at_least():
    rows = [busy(0), umount(100)]
    window = one(rows, scans=[scan(rows[0], 30, fd_of(7))])
    assert window.klass == "held"
    assert window.hold == (30 * MS, 100 * MS)


def test_the_release_that_frees_the_mount_is_exact():
    window = seen((0.09, UMOUNTER, "returned", 2), (30, WALKER, "put", 1))
    assert window.hold == (30 * MS, 30 * MS)


def test_a_mount_found_free_was_free_at_the_latest_then():
    """Who put the last reference was not seen, so it may have been long before."""
    window = seen((0.5, WALKER, "put", 3), (80, UMOUNTER, "returned", 1))
    assert window.hold == (0.05 * MS, 80 * MS)


def test_a_walk_that_came_later_does_not_prolong_the_hold():
    window = seen(put(30, WALKER, 2), (40, OTHER, "legitimized"), (60, OTHER, "put", 1))
    assert window.hold == (30 * MS, 60 * MS)


@pytest.mark.parametrize(
    ("bounds", "short", "words"),
    [
        ((None, None), "-", "end not seen"),
        ((None, 5 * MS), "≤ 5.00 ms", "at most 5.00 ms"),
        ((2 * MS, 5 * MS), "≤ 5.00 ms", "at least 2.00 ms, at most 5.00 ms"),
        ((5 * MS - 1, 5 * MS), "≤ 5.00 ms", "at most 5.00 ms"),
        ((5 * MS, 5 * MS), "5.00 ms", "5.00 ms"),
        ((2 * MS, None), "≥ 2.00 ms", "at least 2.00 ms"),
    ],
)
def test_bounds_as_text(bounds, short, words):
    assert (held_short(bounds), held_words(bounds)) == (short, words)


def test_an_older_recording_has_the_retry_alone():
    old = replace(HELD, first_success_ns=7 * MS, first_success_bound="upper")
    assert old.hold == (None, 7 * MS)


def test_a_tail_lasts_as_long_as_the_file_system_lives_on():
    tail = replace(HELD, klass="lazy-tail", end_ns=1 + 3 * MS)
    assert tail.hold == (3 * MS, 3 * MS)
    assert "counted from the return of umount" in window_text(tail, 1)


def test_a_call_that_failed_downstream_is_no_hold():
    window = replace(HELD, klass="downstream", end_ns=1)
    assert window.hold == (None, None)
    assert "held" not in window_line(window)


def test_bounds_are_stored():
    window = replace(HELD, held_min_ns=2, held_max_ns=9)
    assert windows_from_arrow(windows_to_arrow([window])) == [window]


class TestUnknown:
    def test_it_says_why_and_what_to_run_next(self):
        rows = [busy(0, path="/mnt/a b"), umount(500, path="/mnt/a b")]
        window = one(rows)
        why, *steps = " ".join(reason_lines(window, indent="")).split(" next: ")
        assert why.startswith("a sync umount succeeded 499.9 ms after")
        assert steps[0] == "while it is busy, umtrace why '/mnt/a b'"
        assert "function tier" in steps[1]

    def test_a_function_tier_needs_the_retry(self):
        window = one([busy(0, tier="fentry", path="/m")])
        assert list(reason_lines(window, indent=""))[-1] == "next: record until a retry succeeds"

    def test_a_known_cause_has_none(self):
        assert list(reason_lines(HELD)) == []
