from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umtrace.present.units import DURATION_WIDTH, bin_edge, count, duration, padded, percent, plural
from umtrace.stats.bins import EDGES_125

_SIZES = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 6e10, "h": 3.6e12, "d": 8.64e13}


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "-"),
        (0, "0 ns"),
        (1, "1 ns"),
        (999, "999 ns"),
        (999.6, "1.00 µs"),
        (1_000, "1.00 µs"),
        (1_234_000, "1.23 ms"),
        (12_340, "12.3 µs"),
        (123_400, "123 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (1_000_000_000, "1.00 s"),
        (999_400_000_000, "999 s"),
        (1_000_000_000_000, "16.7 min"),
        (3_600_000_000_000, "1.00 h"),
        (200 * 86_400 * 10**9, "200 d"),
        (-5_000, "-5.00 µs"),
    ],
)
def test_durations(ns, text):
    assert duration(ns) == text


@given(st.integers(0, 300 * 86_400 * 10**9))
def test_durations_keep_three_digits_and_their_width(ns):
    number, unit = duration(ns).split(" ")
    assert abs(float(number) * _SIZES[unit] - ns) <= 0.0051 * ns
    assert len(padded(ns)) == DURATION_WIDTH


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "-"),
        (0, "0 %"),
        (1e-9, "<0.1 %"),
        (0.0123, "1.2 %"),
        (0.5, "50.0 %"),
        (0.99999, ">99.9 %"),
        (1, "100 %"),
        (1.2, "120.0 %"),
    ],
)
def test_percentages_do_not_round_to_nothing_or_everything(part, text):
    assert percent(part) == text


def test_edges_are_short_and_distinct():
    texts = [bin_edge(edge) for edge in EDGES_125]
    assert texts[:12:3] == ["1 ns", "10 ns", "100 ns", "1 µs"]
    assert len(set(texts)) == len(texts)


def test_counts():
    assert [count(None), count(12345)] == ["-", "12,345"]
    assert [plural(1, "row"), plural(1200, "row")] == ["1 row", "1,200 rows"]
