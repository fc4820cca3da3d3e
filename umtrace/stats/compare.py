"""Two summaries side by side: what became slower, what faster, and what cannot be told.

The 5 % are those of the whole table: each interval gets ``alpha / m`` of it, m being the
number of ratios in the table (Bonferroni), so that all intervals together hold with 95 %.
Comparing a recording with itself therefore shows any "slower" or "faster" at all in at
most one table of twenty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from umtrace.stats.bootstrap import Ratio, enough, least_enough, quantile_ratio
from umtrace.stats.groups import Key
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import DEFAULT_METRICS
from umtrace.stats.summary import GroupSummary, Summary

QUANTILES = (0.5, 0.9, 0.99)
ALPHA = 0.05
_SEED = 20250410  # any number: the same two recordings give the same table

Verdict = Literal["slower", "faster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One quantile of one duration of one group, in both recordings.

    The durations are those of umounts in which it took any time, as in a report.
    """

    key: Key
    metric: str
    q: float
    n_a: int
    n_b: int
    a_ns: int | None  #: None without any value
    b_ns: int | None
    ratio: float | None  #: b over a
    low: float | None  #: ends of the simultaneous interval; None: too few values
    high: float | None
    needs: int  #: values that each side must have for an interval

    @property
    def verdict(self) -> Verdict | None:
        """The word for b, only where the interval excludes 1."""
        if self.low is None or self.high is None:
            return None
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else None

    @property
    def too_few(self) -> bool:
        """Whether the values do not suffice to tell."""
        return self.low is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All changes, the groups in the order of the first recording.

    Attributes
    ----------
    by : tuple of str
        The columns of the groups' keys.
    changes : tuple of Change
    counts : dict of Key to (int, int)
        Umounts of each group in a and in b; 0 where a recording has none of it.
    alpha : float
        How often the table may say slower or faster of something that is neither.
    """

    by: tuple[str, ...]
    changes: tuple[Change, ...]
    counts: dict[Key, tuple[int, int]]
    alpha: float = ALPHA

    @property
    def different(self) -> tuple[Change, ...]:
        """The changes with a verdict."""
        return tuple(change for change in self.changes if change.verdict)


def compare(
    a: Summary,
    b: Summary,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    quantiles: Sequence[float] = QUANTILES,
    alpha: float = ALPHA,
) -> Comparison:
    """Compare two summaries made by the same keys; b is judged against a.

    A duration that one side cannot see in a group is left out.
    """
    if a.by != b.by:
        raise ValueError(f"grouped by {a.by} and by {b.by}")
    cells = list(_cells(a, b, metrics, quantiles))
    each = alpha / max(len(cells), 1)
    rng = np.random.default_rng(_SEED)
    changes = [_change(cell, each, rng) for cell in cells]
    groups = {group.key: group.count for group in a.groups}
    others = {group.key: group.count for group in b.groups}
    keys = dict.fromkeys((*groups, *others))
    counts = {key: (groups.get(key, 0), others.get(key, 0)) for key in keys}
    return Comparison(by=a.by, changes=tuple(changes), counts=counts, alpha=alpha)


@dataclass(frozen=True, slots=True)
class _Cell:
    key: Key
    metric: str
    q: float
    a: Histogram
    b: Histogram


def _cells(
    a: Summary, b: Summary, metrics: Sequence[str], quantiles: Sequence[float]
) -> Iterator[_Cell]:
    others = {group.key: group for group in b.groups}
    for group in a.groups:
        other = others.get(group.key, GroupSummary())
        for metric in metrics:
            left, right = group.metric(metric).occurred, other.metric(metric).occurred
            if left.count and right.count:
                yield from (_Cell(group.key, metric, q, left, right) for q in quantiles)


def _change(cell: _Cell, alpha: float, rng: np.random.Generator) -> Change:
    a, b, q = cell.a, cell.b, cell.q
    a_ns, b_ns = a.quantile(q), b.quantile(q)
    told = enough(min(a.count, b.count), q, alpha)
    found = quantile_ratio(a, b, q, alpha=alpha, rng=rng) if told else None
    return Change(
        key=cell.key,
        metric=cell.metric,
        q=q,
        n_a=a.count,
        n_b=b.count,
        a_ns=a_ns,
        b_ns=b_ns,
        ratio=b_ns / a_ns if a_ns and b_ns is not None else None,
        needs=least_enough(q, alpha),
        **_interval(found),
    )


def _interval(found: Ratio | None) -> dict[str, float | None]:
    if found is None:
        return {"low": None, "high": None}
    return {"low": found.low, "high": found.high}
