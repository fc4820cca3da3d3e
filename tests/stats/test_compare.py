from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.stats.rows import batch_of, container_host, row
from umtrace.recording import Recording
from umtrace.stats.compare import compare
from umtrace.stats.summarize import summarize

RECORDINGS = Path(__file__).parents[2] / "recordings"


def _summary(rows, by=("mode",)):
    return summarize([batch_of(rows)], by=by)


def _slower(rows, factor):
    return [r | {"rcu_ns": int(r["rcu_ns"] * factor)} for r in rows]


def test_names_what_became_slower_and_nothing_else():
    rows = container_host(1200)
    found = compare(_summary(rows), _summary(_slower(container_host(1000, seed=8), 3)))
    assert {c.metric for c in found.different} == {"rcu_ns"}
    assert {c.verdict for c in found.different} == {"slower"}
    assert all(c.low <= 3 <= c.high for c in found.different)
    back = compare(_summary(_slower(rows, 3)), _summary(rows))
    assert {c.verdict for c in back.different} == {"faster"}


def test_the_same_rows_are_no_different_and_twice_the_same():
    summary = _summary(container_host(300))
    found = compare(summary, summary)
    assert not found.different
    assert {c.ratio for c in found.changes} == {1.0}
    assert compare(summary, summary) == found


def test_says_where_the_values_are_too_few():
    rows = container_host(60)
    changes = compare(_summary(rows), _summary(rows)).changes
    tails = [c for c in changes if c.q == 0.99]
    assert tails
    assert all(c.too_few and c.verdict is None and c.needs > c.n_a for c in tails)


def test_groups_of_one_side_are_counted_not_compared():
    found = compare(_summary([row(rcu_ns=5)] * 30), _summary([row(rcu_ns=5, mode="lazy")] * 40))
    assert found.changes == ()
    assert found.counts == {("sync",): (30, 0), ("lazy",): (0, 40)}


def test_zero_and_unknown_are_no_values():
    rows = [row(rcu_ns=0, tree_ns=7, latency_ns=9)] * 20
    metrics = {c.metric for c in compare(_summary(rows), _summary(rows)).changes}
    assert metrics == {"latency_ns", "tree_ns"}


def test_refuses_summaries_by_other_keys():
    with pytest.raises(ValueError, match="grouped by"):
        compare(_summary([]), _summary([], by=("fstype",)))


def _made(n):
    return batch_of(container_host(n))


def _recorded(name):
    table = Recording.open(RECORDINGS / name).umounts()
    return table.combine_chunks().to_batches()[0]


@pytest.mark.parametrize(
    ("rows", "given", "splits"),
    [
        (_made, 300, 40),
        pytest.param(_recorded, "lab-6.12.umt", 200, marks=pytest.mark.slow),
    ],
)
def test_random_halves_of_one_recording_are_seldom_different(rows, given, splits):
    """At most one table of twenty says anything, however many ratios it has."""
    batch = rows(given)
    n = batch.num_rows
    rng = np.random.default_rng(1)
    different = 0
    for _ in range(splits):
        order = rng.permutation(n)
        halves = [batch.take(pa.array(half)) for half in (order[: n // 2], order[n // 2 :])]
        first, second = (summarize([half]) for half in halves)
        different += bool(compare(first, second).different)
    assert different <= 0.05 * splits
