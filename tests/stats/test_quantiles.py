"""The promise about quantiles, against numpy on the raw data, for 1,000 random distributions.

``Histogram.quantile(q)`` is numpy's ``quantile(values, q, method="inverted_cdf")``, the
smallest value that at least the fraction q do not exceed, but for at most 1/256 of it (0.4 %),
rounded up to a whole ns. ``q`` of 0 and 1 are exact, and so are values below 256.

numpy's default method, ``linear``, is another quantile: it draws a line between the two
values around the rank. What the histogram says then lies within the error of these two.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.stats.rows import batch_of, row
from umtrace.stats.buckets import RELATIVE_ERROR
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import summarize

N_DISTRIBUTIONS = 1000
_INT64_MAX = np.iinfo(np.int64).max
#: each makes n values from a generator and a scale between 1 ns and a second
FAMILIES = {
    "lognormal": lambda rng, n, scale: scale * rng.lognormal(0, rng.uniform(0.1, 3), n),
    "two modes": lambda rng, n, scale: (
        scale
        * np.where(rng.random(n) < rng.random(), rng.normal(1, 0.01, n), rng.normal(500, 9, n))
    ),
    "uniform": lambda rng, n, scale: scale * rng.random(n),
    "heavy tail": lambda rng, n, scale: scale * rng.pareto(rng.uniform(0.3, 2), n),
    "constant": lambda rng, n, scale: np.full(n, scale),
    "few distinct": lambda rng, n, scale: scale * rng.choice(rng.random(5), n),
    "one to ten values": lambda rng, n, scale: scale * rng.lognormal(0, 2, 1 + n % 10),
    "mostly zero": lambda rng, n, scale: (
        scale * rng.lognormal(0, 1, n) * (rng.random(n) < rng.uniform(0, 0.3))
    ),
    "up to 2**63 - 1": lambda rng, n, scale: 2.0 ** rng.uniform(40, 63, n),
    "edges of buckets": lambda rng, n, scale: (
        2.0 ** rng.integers(0, 62, n) + rng.integers(-1, 2, n).astype(float)
    ),
}
_QS = np.array([0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0])


def _values(rng, family):
    raw = FAMILIES[family](rng, int(rng.integers(1, 3000)), 10 ** rng.uniform(0, 9))
    return np.where(raw >= 2.0**63, _INT64_MAX, raw.clip(0, 2.0**62.9)).astype(np.int64)


@pytest.mark.parametrize("family", FAMILIES)
def test_quantiles_are_numpys_within_the_stated_error(family):
    rng = np.random.default_rng(list(FAMILIES).index(family))
    for _ in range(N_DISTRIBUTIONS // len(FAMILIES)):
        values, qs = _values(rng, family), np.append(_QS, rng.random(4))
        expected = np.quantile(values, qs, method="inverted_cdf")
        parts = np.array_split(values, int(rng.integers(1, 5)))
        histogram = sum((Histogram.of(part) for part in parts), Histogram())
        found = np.array([histogram.quantile(q) for q in qs])
        off = np.abs(found - expected)  # of integers: no rounding hides an error
        assert np.all(off <= -(-expected // 256))
        assert np.all(off[(expected < 256) | (qs == 0) | (qs == 1)] == 0)
        below, above = (np.quantile(values, qs, method=how) for how in ("lower", "higher"))
        assert np.all(found >= below + (-below // 256))
        assert np.all(found <= above + -(-above // 256))


def test_the_stated_error_is_that_of_the_buckets():
    assert RELATIVE_ERROR == 1 / 256


def test_a_report_has_the_same_quantiles():
    rng = np.random.default_rng(1)
    values = _values(rng, "lognormal")
    rows = [row(rcu_ns=int(value), latency_ns=int(value)) for value in values]
    summary = summarize([batch_of(rows[:100]), batch_of(rows[100:])])
    (group,) = summary.groups
    assert group.metric("rcu_ns").histogram == Histogram.of(values)


def test_the_check_notices_one_percent():
    values = np.sort(np.random.default_rng(2).lognormal(12, 1, 1000).astype(np.int64))
    wrong = Histogram.of((values * 1.01).astype(np.int64))
    expected = np.quantile(values, 0.5, method="inverted_cdf")
    assert abs(wrong.quantile(0.5) - expected) > -(-expected // 256)
