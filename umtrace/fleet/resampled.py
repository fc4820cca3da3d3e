"""Hosts drawn again: how far a quantile of a fleet moves with the hosts that are in it.

The umounts of one host are alike, so a host is the unit, not the umount. Each host has a weight
in each resample, a Poisson number out of its name (the Poisson bootstrap). Weighted counts are
integers that add up in any order, and their size does not grow with the hosts. A host has the same
weights everywhere, so two sides that share hosts are compared host by host.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.model.arrow import integers
from umtrace.stats.buckets import RELATIVE_ERROR, Int64, middles
from umtrace.stats.groups import Key

#: resamples; the error of an interval's width is 1 / sqrt(2 * RESAMPLES), 3.5 %
RESAMPLES = 400
#: a spread over fewer hosts says nothing
LEAST_HOSTS = 8

Logs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weighted:
    """Counts by bucket in each resample.

    Attributes
    ----------
    hosts : int
        Hosts that have such values.
    buckets : ndarray of int64, shape (k,)
        Increasing; that of zero is left out.
    counts : ndarray of int64, shape (k, RESAMPLES)
    """

    hosts: int
    buckets: Int64
    counts: Int64

    def __add__(self, other: Weighted) -> Weighted:
        """Add the counts of other hosts."""
        buckets = np.union1d(self.buckets, other.buckets)
        counts = np.zeros((buckets.size, RESAMPLES), np.int64)
        for side in (self, other):
            counts[np.searchsorted(buckets, side.buckets)] += side.counts
        return Weighted(self.hosts + other.hosts, buckets, counts)

    def log_quantiles(self, q: float) -> Logs:
        """Return the logarithm of the q-quantile of each resample, NaN where it is empty."""
        if not self.buckets.size:
            return np.full(RESAMPLES, np.nan)
        reached = np.cumsum(self.counts, axis=0)
        total = reached[-1]
        ranks = np.maximum(np.ceil(q * total), 1)
        values = np.log(np.maximum(middles(self.buckets), 1))[
            (reached < ranks).sum(axis=0) % len(reached)
        ]
        return np.where(total > 0, values, np.nan)


@dataclass(frozen=True, slots=True)
class Resampled:
    """The weighted counts of each group and measure."""

    by: tuple[str, ...]
    cells: Mapping[tuple[Key, str], Weighted] = field(default_factory=dict)

    @classmethod
    def of_host(
        cls, host: str, cells: pa.Table, by: Sequence[str], measures: Iterable[str]
    ) -> Resampled:
        """Return those of one host; ``cells`` have the keys ``by``."""
        wanted = pa.array(list(measures), pa.string())
        known = pc.and_(pc.is_in(cells["measure"], wanted), pc.greater(cells["bucket"], 0))
        found = cells.filter(known).combine_chunks()
        keys = list(zip(*(found[name].to_pylist() for name in (*by, "measure")), strict=True))
        buckets, counts = (integers(_one(found[name])) for name in ("bucket", "count"))
        places: dict[tuple[object, ...], list[int]] = {}
        for at, key in enumerate(keys):
            places.setdefault(key, []).append(at)
        weights = _weights(host)
        made: dict[tuple[Key, str], Weighted] = {}
        for key, rows in places.items():
            # In order of bucket, as all cells are.
            made[key[:-1], str(key[-1])] = Weighted(1, buckets[rows], counts[rows, None] * weights)  # type: ignore[index]
        return cls(tuple(by), made)

    def __add__(self, other: Resampled) -> Resampled:
        """Add the counts of other hosts."""
        made = dict(self.cells)
        for key, weighted in other.cells.items():
            made[key] = made[key] + weighted if key in made else weighted
        return Resampled(self.by or other.by, made)

    def of(self, key: Key, measure: str) -> Weighted | None:
        """Return those of one group and measure."""
        return self.cells.get((key, measure))


def factor(weighted: Weighted | None, q: float, confidence: float = 0.95) -> float | None:
    """Return by which factor a quantile may be off on each side; None for too few hosts."""
    if weighted is None or weighted.hosts < LEAST_HOSTS:
        return None
    return _factor(weighted.log_quantiles(q), weighted.hosts, confidence)


def ratio_factor(a: Weighted, b: Weighted, q: float, confidence: float) -> float | None:
    """Return the same for the ratio of b to a."""
    hosts = min(a.hosts, b.hosts)
    if hosts < LEAST_HOSTS:
        return None
    found = _factor(b.log_quantiles(q) - a.log_quantiles(q), hosts, confidence)
    return None if found is None else found * (1 + RELATIVE_ERROR)


def _factor(logs: Logs, hosts: int, confidence: float) -> float | None:
    known = logs[~np.isnan(logs)]
    if known.size < RESAMPLES // 2:
        return None
    spread = float(np.std(known, ddof=1))
    return math.exp(student((1 + confidence) / 2, hosts - 1) * spread) * (1 + RELATIVE_ERROR)


def student(p: float, df: int) -> float:
    """Return the p-quantile of Student's t, p above 0.5 (Cornish and Fisher; df of 7 or more)."""
    z = NormalDist().inv_cdf(p)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / float(df) ** power for power, term in enumerate(terms))


def _weights(host: str) -> Int64:
    seed = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).poisson(1.0, RESAMPLES).astype(np.int64)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
