"""Hypothesis strategies for durations."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

INT64_MAX = np.iinfo(np.int64).max

#: small, typical, huge, and right at the edges of buckets
durations = st.one_of(
    st.integers(0, 300),
    st.integers(0, 10**10),
    st.integers(0, INT64_MAX),
    st.builds(lambda p, d: max((1 << p) + d, 0), st.integers(0, 62), st.integers(-2, 2)),
)


def samples(min_size=0, max_size=300):
    """Lists of durations as int64 arrays."""
    lists = st.lists(durations, min_size=min_size, max_size=max_size)
    return lists.map(lambda values: np.array(values, np.int64))
