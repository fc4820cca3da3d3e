"""Confidence intervals of a quantile from order statistics; assumes no distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

# Beyond this the normal approximation of the binomial is as good as the exact sum.
_EXACT_LIMIT = 20_000
_ENOUGH_OF_BOTH = 50


def rank_interval(n: int, q: float, confidence: float) -> tuple[int, int]:
    """Return the ranks (low, high) of the two samples that enclose the q-quantile.

    How many of n independent samples lie at or below the true quantile is binomial
    (n, q); the ranks leave at most ``(1 - confidence) / 2`` of it on either side.

    Returns
    -------
    low, high : int
        Ranks from 1 to n. ``low`` is 0 and ``high`` is n + 1 where n samples are too
        few to bound that side.
    """
    tail = (1 - confidence) / 2
    if q in {0.0, 1.0} or n == 0:
        return (0, 1) if q == 0.0 else (n, n + 1)
    if n > _EXACT_LIMIT and n * min(q, 1 - q) > _ENOUGH_OF_BOTH:
        return _normal_ranks(n, q, tail)
    cdf = _binomial_cdf(n, q)
    # low: the largest rank l with P(B <= l - 1) <= tail; high: the smallest with
    # P(B <= h - 1) >= 1 - tail.
    low = int(np.searchsorted(cdf, tail, side="right"))
    high = int(np.searchsorted(cdf, 1 - tail, side="left")) + 1
    return low, min(high, n + 1)


def _binomial_cdf(n: int, q: float) -> npt.NDArray[np.float64]:
    k = np.arange(n, dtype=np.float64)
    steps = np.log(n - k) - np.log(k + 1) + (math.log(q) - math.log1p(-q))
    log_pmf = np.concatenate(([0.0], np.cumsum(steps))) + n * math.log1p(-q)
    cdf: npt.NDArray[np.float64] = np.cumsum(np.exp(log_pmf))
    return cdf


def _normal_ranks(n: int, q: float, tail: float) -> tuple[int, int]:
    spread = NormalDist().inv_cdf(1 - tail) * math.sqrt(n * q * (1 - q))
    low = math.floor(n * q - spread)
    high = math.ceil(n * q + spread) + 1
    return max(low, 0), min(high, n + 1)
