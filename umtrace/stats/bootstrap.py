"""Ratio of two samples' quantiles with a bootstrap interval; the cost is free of their size.

The k-th smallest of n values drawn again, with replacement, from n sorted values is the
value at place ``floor(n * u) + 1`` where u is the k-th smallest of n uniform numbers,
which follows a Beta(k, n - k + 1) distribution. So one Beta number and one look-up stand
for a whole resample: 20,000 resamples of ten million rows take milliseconds, and all that
is needed of the rows is their histogram.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from umtrace.stats.buckets import RELATIVE_ERROR, Int64
from umtrace.stats.histogram import Histogram
from umtrace.stats.intervals import rank_interval

# So many resamples lie beyond each end of the interval: its own noise stays small.
_BEYOND_EACH_END = 15
_LEAST_DRAWS = 4_000
_MOST_DRAWS = 200_000


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times longer the second sample's quantile is, with its interval."""

    value: float
    low: float
    high: float


def quantile_ratio(
    first: Histogram, second: Histogram, q: float, *, alpha: float, rng: np.random.Generator
) -> Ratio:
    """Return the ratio of the q-quantiles, second over first, of values above zero.

    Parameters
    ----------
    alpha : float
        How often the interval may miss the true ratio, 0 to 1.

    Notes
    -----
    The interval is the percentile interval of the bootstrap, widened by what the buckets
    of both histograms can be off. It holds for independent values, where both samples
    are `enough`.
    """
    draws = min(max(math.ceil(2 * _BEYOND_EACH_END / alpha), _LEAST_DRAWS), _MOST_DRAWS)
    logs = _log_quantiles(second, q, draws, rng) - _log_quantiles(first, q, draws, rng)
    low, high = np.exp(np.quantile(logs, [alpha / 2, 1 - alpha / 2])).tolist()
    slack = (1 + RELATIVE_ERROR) ** 2
    value = (second.quantile(q) or 0) / (first.quantile(q) or 1)
    return Ratio(value, min(low / slack, value), max(high * slack, value))


def enough(n: int, q: float, alpha: float) -> bool:
    """Whether n values bound their q-quantile on both sides; the bootstrap cannot tell.

    A resample never exceeds the largest value seen, so the 99th percentile of 50 values
    would look far better known than it is.
    """
    low, high = rank_interval(n, q, 1 - alpha)
    return n > 0 and low >= 1 and high <= n


def least_enough(q: float, alpha: float) -> int:
    """Return the smallest n that is `enough`."""
    rarer = max(q, 1 - q)
    guess = max(math.ceil(math.log(alpha / 2) / math.log(rarer)), 1)
    while not enough(guess, q, alpha):
        guess += 1
    return guess


def _log_quantiles(
    sample: Histogram, q: float, draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    n = sample.count
    k = max(math.ceil(q * n), 1)
    places: Int64 = np.floor(n * rng.beta(k, n - k + 1, draws)).astype(np.int64)
    values = sample.at_ranks(np.minimum(places, n - 1) + 1)
    logs: npt.NDArray[np.float64] = np.log(values)
    return logs
