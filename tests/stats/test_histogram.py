from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.strategies import samples
from umtrace.model.errors import DamagedInputError
from umtrace.stats.bins import EDGES_125, EDGES_LOG2
from umtrace.stats.buckets import RELATIVE_ERROR
from umtrace.stats.histogram import Histogram

quantiles = st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0])


@given(samples())
def test_count_sum_min_max_are_exact(values):
    histogram = Histogram.of(values)
    assert len(histogram) == histogram.count == len(values)
    assert histogram.sum == sum(values.tolist())
    assert histogram.min == min(values.tolist(), default=None)
    assert histogram.max == max(values.tolist(), default=None)
    assert histogram.zeros == values.tolist().count(0)


@given(samples(), samples(), samples())
def test_adding_is_associative_and_commutative_and_has_an_identity(a, b, c):
    x, y, z = Histogram.of(a), Histogram.of(b), Histogram.of(c)
    assert (x + y) + z == x + (y + z) == Histogram.of(np.concatenate([a, b, c]))
    assert x + y == y + x
    assert x + Histogram() == x == Histogram() + x


@given(samples(min_size=1), quantiles)
def test_quantile_is_within_the_stated_error_of_numpy(values, q):
    exact = int(np.quantile(values, q, method="inverted_cdf"))
    assert abs(Histogram.of(values).quantile(q) - exact) <= math.ceil(exact * RELATIVE_ERROR)


def test_quantiles_at_the_ends_are_the_exact_extremes():
    histogram = Histogram.of([1_234_567, 2_345_678, 9_999_999])
    assert histogram.quantile(0) == 1_234_567
    assert histogram.quantile(1) == 9_999_999


def test_nothing_has_no_quantile_no_mean_and_no_interval():
    empty = Histogram()
    assert empty.quantile(0.5) is None
    assert empty.mean is None
    assert empty.min is None
    assert empty.quantile_interval(0.5) == (None, None)
    assert empty.cumulative()[0].size == 0
    assert empty.rebin(EDGES_125).sum() == 0


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_outside_0_to_1_is_refused(q):
    with pytest.raises(ValueError, match="a quantile is between"):
        Histogram.of([1]).quantile(q)
    with pytest.raises(ValueError, match="interval"):
        Histogram.of([1]).quantile_interval(q)


@pytest.mark.parametrize("bad", [[-1], [1, -5], [1.5], np.array([2**63], np.uint64)])
def test_what_is_no_duration_is_refused_and_changes_nothing(bad):
    histogram = Histogram.of([7])
    with pytest.raises(ValueError, match="a histogram counts"):
        histogram.add(bad)
    assert histogram == Histogram.of([7])


@given(samples())
def test_cumulative_never_falls_and_ends_at_the_count(values):
    upper, counts = Histogram.of(values).cumulative()
    assert np.all(np.diff(upper) > 0)
    for bound, number in zip(upper.tolist(), counts.tolist(), strict=True):
        assert int((values <= bound).sum()) == number
    assert not values.size or (upper[-1], counts[-1]) == (values.max(), values.size)


@given(samples(), st.sampled_from([EDGES_125, EDGES_LOG2, (0,), (5, 1000)]))
def test_rebinning_loses_nothing(values, edges):
    counts = Histogram.of(values).rebin(edges)
    assert counts.shape == (len(edges) + 1,)
    assert counts.sum() == values.size


@given(samples())
def test_rebinning_at_powers_of_two_is_exact(values):
    exact = np.bincount(
        np.searchsorted(EDGES_LOG2, values, side="right"), minlength=len(EDGES_LOG2) + 1
    )
    assert np.array_equal(Histogram.of(values).rebin(EDGES_LOG2), exact)


@given(samples())
def test_without_zeros_is_the_histogram_of_the_rest(values):
    got, wanted = Histogram.of(values).without_zeros(), Histogram.of(values[values > 0])
    assert (got.count, got.sum, got.max) == (wanted.count, wanted.sum, wanted.max)
    assert (got.quantile(0.9) or 0) == pytest.approx(
        wanted.quantile(0.9) or 0, rel=2 * RELATIVE_ERROR
    )


@given(samples())
def test_survives_json(values):
    histogram = Histogram.of(values)
    assert Histogram.from_dict(json.loads(json.dumps(histogram.to_dict()))) == histogram


@pytest.mark.parametrize(
    "change",
    [
        {"count": 3},
        {"buckets": [9, 5]},
        {"buckets": [5, 99999]},
        {"counts": [1, -1]},
        {"counts": "x"},
        {"buckets": [[5, 9]]},
        {"sub_bits": 5},
        {"sum": None, "buckets": None},
    ],
)
def test_a_damaged_mapping_is_refused(change):
    good = Histogram.of([5, 9]).to_dict()
    with pytest.raises(DamagedInputError, match="not a histogram"):
        Histogram.from_dict(good | change)
    with pytest.raises(DamagedInputError):
        Histogram.from_dict({})


def test_interval_covers_the_true_median_as_often_as_it_says():
    rng = np.random.default_rng(1)
    true = math.exp(12)
    hits = 0
    for _ in range(400):
        low, high = Histogram.of(rng.lognormal(12, 1, 41).astype(int)).quantile_interval(0.5)
        hits += low <= true <= high
    assert hits / 400 >= 0.93


def test_interval_has_no_upper_end_where_the_samples_are_too_few():
    low, high = Histogram.of(np.arange(1, 42) * 1000).quantile_interval(0.99)
    assert low is not None
    assert high is None


@pytest.mark.parametrize("n", [10_000, 40_000])
def test_exact_and_approximate_intervals_agree(n):
    low, high = Histogram.of(np.arange(n) * 1_000_000).quantile_interval(0.9)
    spread = 1.96 * math.sqrt(n * 0.9 * 0.1)
    assert low / 1e6 == pytest.approx(0.9 * n - spread, rel=0.01)
    assert high / 1e6 == pytest.approx(0.9 * n + spread, rel=0.01)
