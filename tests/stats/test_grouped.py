from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.strategies import samples
from umtrace.stats import grouped
from umtrace.stats.groups import distinct, encode
from umtrace.stats.histogram import Histogram


@given(st.lists(samples(max_size=30), max_size=6), st.integers(1, 4), st.booleans())
def test_each_group_is_the_histogram_of_its_values(batches, n_groups, eager):
    grouped_histogram = grouped.GroupedHistogram()
    everything = [np.empty(0, np.int64) for _ in range(n_groups)]
    for values in batches:
        groups = np.arange(values.size) % n_groups
        grouped_histogram.add(groups, values, n_groups)
        if eager:  # a result in between must not disturb
            grouped_histogram.histogram(0)
        everything = [np.r_[have, values[groups == g]] for g, have in enumerate(everything)]
    for group, values in enumerate(everything):
        assert grouped_histogram.histogram(group) == Histogram.of(values)


def test_runs_are_merged_when_they_grow(monkeypatch):
    monkeypatch.setattr(grouped, "_MERGE_FROM", 4)
    one = grouped.GroupedHistogram()
    for start in range(50):
        values = np.arange(start, start + 10)
        one.add(np.zeros(10, np.int64), values, 1)
    assert one.histogram(0).count == 500
    assert one.histogram(7).count == 0


@pytest.mark.parametrize("bound", [1000, 1 << 20])
def test_distinct_codes_are_those_of_unique(bound):
    codes = np.random.default_rng(bound).integers(0, bound, 500)
    found, places = distinct(codes, bound)
    expected, inverse = np.unique(codes, return_inverse=True)
    assert np.array_equal(found, expected)
    assert np.array_equal(places, inverse)


@given(
    st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=12),
    st.sampled_from([["c", "a", "b"], ["b", "c", "a", "unused"], ["a", "a", "b", "c"]]),
)
def test_a_dictionary_is_encoded_as_its_values_are(texts, dictionary):
    indices = pa.array([None if t is None else dictionary.index(t) for t in texts], pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(dictionary))
    codes, values = encode(column)
    plain_codes, plain = encode(pa.array(texts, pa.string()))
    assert (codes.tolist(), values) == (plain_codes.tolist(), plain)
