"""The promise about quantiles, against numpy, for a thousand distributions."""

from __future__ import annotations

import numpy as np

from umtrace.stats.buckets import RELATIVE_ERROR
from umtrace.stats.histogram import Histogram

_QS = (0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)


def _distribution(rng):
    """Return 1 to 3,000 values of a random shape and scale, ties and tails included."""
    n, scale = int(rng.integers(1, 3000)), 10 ** rng.uniform(0, 9)
    shape = rng.integers(6)
    values = (
        rng.lognormal(0, rng.uniform(0.1, 3), n),
        rng.pareto(rng.uniform(0.5, 4), n),
        rng.random(n),
        rng.choice(rng.random(5), n),
        np.concatenate([rng.normal(1, 0.01, n), rng.normal(100, 1, n)]).clip(0),
        np.ones(n),
    )[shape]
    return np.minimum(values * scale, 2.0**62).astype(np.int64)


def test_quantiles_are_numpys_within_the_stated_error():
    rng = np.random.default_rng(11)
    for _ in range(1000):
        values = _distribution(rng)
        expected = np.quantile(values, _QS, method="inverted_cdf")
        found = np.array([Histogram.of(values).quantile(q) for q in _QS])
        # One more for values so small that the middle of a bucket is rounded.
        assert np.all(np.abs(found - expected) <= RELATIVE_ERROR * expected + 1)
        assert found[0] == values.min()
        assert found[-1] == values.max()
