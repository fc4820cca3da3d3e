"""The quantiles of a duration, which every format has."""

from __future__ import annotations

from typing import Any

from umtrace.stats.histogram import Histogram
from umtrace.stats.summary import MetricSummary

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def times(metric: MetricSummary) -> dict[str, Any]:
    """Return ``n, n_zero, n_null, p50, p90, p99, max, mean``: ns, null is unknown.

    The quantiles, maximum and mean are those of the ``n`` umounts in which it took any
    time; ``n_zero`` are those without it, ``n_null`` those where it is unknown.
    """
    seen = metric.occurred
    return {
        "n": seen.count,
        "n_zero": metric.histogram.zeros,
        "n_null": metric.n_null,
        **{name: seen.quantile(q) for name, q in QUANTILES.items()},
        "max": seen.max,
        "mean": seen.mean,
    }


def quantiles(histogram: Histogram) -> list[int | None]:
    """Return p50, p90, p99 and the maximum, in ns; None without a value."""
    return [*(histogram.quantile(q) for q in QUANTILES.values()), histogram.max]
