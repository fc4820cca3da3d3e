from __future__ import annotations

import numpy as np
import pytest

from umtrace.stats.bootstrap import enough, least_enough, quantile_ratio
from umtrace.stats.histogram import Histogram


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def _sample(rng, n, scale=1.0):
    return Histogram.of((scale * rng.lognormal(12, 1, n)).astype(np.int64))


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_agrees_with_a_bootstrap_done_the_long_way(rng, q):
    a, b = (rng.lognormal(12, 1, n).astype(np.int64) for n in (400, 300))
    found = quantile_ratio(Histogram.of(a), Histogram.of(b), q, alpha=0.05, rng=rng)

    def resampled(values):
        picks = rng.integers(0, values.size, (4000, values.size))
        return np.quantile(values[picks], q, axis=1, method="inverted_cdf")

    low, high = np.quantile(resampled(b) / resampled(a), [0.025, 0.975])
    assert found.low == pytest.approx(low, rel=0.05)
    assert found.high == pytest.approx(high, rel=0.05)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_encloses_the_true_ratio_as_often_as_promised(rng, q):
    hits = 0
    for _ in range(200):
        found = quantile_ratio(
            _sample(rng, 300), _sample(rng, 200, scale=1.3), q, alpha=0.1, rng=rng
        )
        hits += found.low <= 1.3 <= found.high
    assert hits >= 0.85 * 200


def test_costs_the_same_for_ten_million_values(rng):
    many = sum([Histogram.of(np.full(100_000, 1_000_000, np.int64))] * 100, Histogram())
    assert many.count == 10_000_000
    found = quantile_ratio(many, many, 0.99, alpha=0.001, rng=rng)
    assert found.low < 1 < found.high
    assert found.high < 1.01


def test_a_constant_has_no_spread_but_that_of_its_bucket(rng):
    a, b = Histogram.of([1000] * 50), Histogram.of([2000] * 50)
    found = quantile_ratio(a, b, 0.5, alpha=0.05, rng=rng)
    assert (found.value, round(found.low, 1), round(found.high, 1)) == (2, 2, 2)


def test_few_values_bound_no_tail():
    assert not enough(0, 0.5, 0.05)
    assert not enough(100, 0.99, 0.05)
    for q in (0.01, 0.5, 0.9, 0.99):
        n = least_enough(q, 0.05)
        assert enough(n, q, 0.05)
        assert not enough(n - 1, q, 0.05)
