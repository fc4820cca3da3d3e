from __future__ import annotations

import numpy as np
from hypothesis import given

from tests.stats.strategies import INT64_MAX, samples
from umtrace.stats import buckets


def test_buckets_tile_int64_without_gap_or_overlap():
    every = np.arange(buckets.BUCKETS)
    low, high = buckets.lower_bounds(every), buckets.upper_bounds(every)
    assert low[0] == 0
    assert high[-1] == INT64_MAX
    assert np.array_equal(low[1:], high[:-1] + 1)
    assert np.array_equal(buckets.bucket_of(low), every)
    assert np.array_equal(buckets.bucket_of(high), every)


def test_middle_is_within_the_stated_error_of_both_ends():
    every = np.arange(1, buckets.BUCKETS)
    low, middle = buckets.lower_bounds(every).astype(float), buckets.middles(every).astype(float)
    high = buckets.upper_bounds(every).astype(float)
    assert np.all((middle - low) / low <= buckets.RELATIVE_ERROR)
    assert np.all((high - middle) / high <= buckets.RELATIVE_ERROR)


@given(samples())
def test_a_value_lies_in_its_bucket(values):
    numbers = buckets.bucket_of(values)
    assert np.all(buckets.lower_bounds(numbers) <= values)
    assert np.all(values <= buckets.upper_bounds(numbers))
