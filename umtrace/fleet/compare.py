"""Two sides of a fleet: what is slower or faster, with a host as the unit.

A ratio is that of the quantiles of all umounts of each side. Its interval comes from hosts drawn
again. All intervals of a table hold together with 95 % (Bonferroni). A host on both sides has the
same weight on both, so that what it shares with itself is no noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from umtrace.fleet.mapping import BOUND, Part, Query
from umtrace.fleet.merged import summary_of
from umtrace.fleet.resampled import LEAST_HOSTS, ratio_factor
from umtrace.stats.bootstrap import enough, least_enough
from umtrace.stats.compare import ALPHA, QUANTILES, Change, Comparison
from umtrace.stats.groups import Key
from umtrace.stats.summarize import DEFAULT_METRICS
from umtrace.stats.summary import GroupSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: what was asked, in words, and what it came to."""

    name: str
    folder: str
    query: Query
    part: Part


def compare(a: Side, b: Side, *, metrics: Sequence[str] = DEFAULT_METRICS) -> Comparison:
    """Compare b with a, by the keys of their queries, which are the same.

    ``needs`` of a change is the number of values that each side must have. Without `LEAST_HOSTS`
    hosts on each side there is no interval, whatever the number of values.
    """
    by = a.query.by
    first, second = (summary_of(side.part.cells, by) for side in (a, b))
    others = {group.key: group for group in second.groups}
    pairs = [(group, others.get(group.key, GroupSummary())) for group in first.groups]
    cells = [
        (mine, other, metric, q)
        for mine, other in pairs
        for metric in metrics
        if mine.metric(metric).occurred.count and other.metric(metric).occurred.count
        for q in QUANTILES
    ]
    each = ALPHA / max(len(cells), 1)
    changes = [_change(a, b, mine, other, metric, q, each) for mine, other, metric, q in cells]
    counts = {group.key: (group.count, 0) for group in first.groups}
    for group in second.groups:
        counts[group.key] = (counts.get(group.key, (0, 0))[0], group.count)
    return Comparison(by=by, changes=tuple(changes), counts=counts)


def _change(
    a: Side, b: Side, mine: GroupSummary, other: GroupSummary, metric: str, q: float, alpha: float
) -> Change:
    left, right = mine.metric(metric).occurred, other.metric(metric).occurred
    a_ns, b_ns = left.quantile(q), right.quantile(q)
    ratio = b_ns / a_ns if a_ns and b_ns is not None else None
    off = (
        _off(a, b, mine.key, metric, q, alpha)
        if enough(min(left.count, right.count), q, alpha)
        else None
    )
    return Change(
        key=mine.key, metric=metric, q=q, n_a=left.count, n_b=right.count, a_ns=a_ns, b_ns=b_ns,
        ratio=ratio, low=ratio / off if ratio and off else None,
        high=ratio * off if ratio and off else None, needs=least_enough(q, alpha),
    )  # fmt: skip


def _off(a: Side, b: Side, key: Key, metric: str, q: float, alpha: float) -> float | None:
    left, right = (side.part.resampled.of(key, metric) for side in (a, b))
    if left is None or right is None:
        return None
    return ratio_factor(left, right, q, 1 - alpha)


def warnings(a: Side, b: Side) -> Iterator[str]:
    """Yield what else differs between the sides, or makes the comparison weak."""
    for side in (a, b):
        hosts = side.part.hosts.num_rows
        if hosts < LEAST_HOSTS:
            yield f"{side.name} has {hosts} hosts; an interval needs {LEAST_HOSTS} on each side"
        lost = pc.sum(side.part.hosts["lost"]).as_py() or 0
        if lost:
            yield f"{side.name} lost {lost:,} events: its quantiles are those of what was seen"
        dropped = [v for v in side.part.verdicts if v.kind in {"damaged", "newer", "misfiled"}]
        if dropped:
            yield f"{side.name}: {len(dropped):,} files could not be read"
    tiers = [set(side.part.hosts["tiers"].to_pylist()) for side in (a, b)]
    if tiers[0] != tiers[1]:
        named = ["; ".join(sorted(t.replace("\n", ", ") for t in each)) or "none" for each in tiers]
        yield (
            f"different tiers: A {named[0]}, B {named[1]}; they see different phases, and add "
            "different cost to a umount"
        )
    bounds = [set(side.part.cells[BOUND].unique().to_pylist()) - {None} for side in (a, b)]
    if not bounds[0] & bounds[1] and all(bounds):
        yield "no latency bound is on both sides: nothing can be compared"
    shares = [_failed(side.part) for side in (a, b)]
    if None not in shares and abs(shares[0] - shares[1]) >= 0.05:  # type: ignore[operator] # noqa: PLR2004
        yield f"failed: {shares[0]:.1%} in A, {shares[1]:.1%} in B; a failed call ends early"


def _failed(part: Part) -> float | None:
    umounts = pc.sum(part.hosts["umounts"]).as_py()
    failed: int = pc.sum(part.hosts["failed"]).as_py() or 0
    return failed / umounts if umounts else None
