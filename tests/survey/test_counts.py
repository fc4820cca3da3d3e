"""What a survey counts, beside the same counted row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import batch_of
from umtrace.survey.counts import COLUMNS, KINDS, Counts
from umtrace.survey.share import share_interval

_NS = st.none() | st.integers(0, 10**12)
_ROW = st.fixed_dictionaries(
    {
        "latency_ns": _NS,
        "origin": st.sampled_from([None, "umount", "ns-exit", "expire", "fd-close"]),
        "mode": st.sampled_from([None, "sync", "lazy"]),
        "errno": st.sampled_from([None, 0, 0, 0, 16, 22]),
        "n_mounts": st.none() | st.integers(0, 5000),
        "n_held": st.none() | st.integers(0, 5),
        "rcu_ns": _NS,
        "rcu_kind": st.sampled_from([None, "expedited", "normal", "piggybacked", "none"]),
        "complete": st.booleans(),
    }
)


def _kind(row):
    if row["origin"] == "umount":
        return "lazy" if row["mode"] == "lazy" else "sync"
    return "namespace end" if row["origin"] == "ns-exit" else "other"


@given(st.lists(_ROW, max_size=30), st.integers(0, 30))
def test_counts_are_those_of_the_rows_in_any_batches(rows, cut):
    counts = Counts()
    for part in (rows[:cut], rows[cut:]):
        counts.add(batch_of(part).select(COLUMNS))
    done = [row for row in rows if row["errno"] == 0]
    assert counts.failed == sum(bool(row["errno"]) for row in rows)
    assert counts.unfinished == sum(row["errno"] is None for row in rows)
    assert counts.umounts == len(rows)
    for kind in KINDS:
        mine = [row for row in done if _kind(row) == kind]
        held = counts.held[kind]
        assert held.umounts == len(mine)
        assert held.known == sum(row["n_held"] is not None for row in mine)
        assert held.held == sum(bool(row["n_held"]) for row in mine)
    both = [r for r in done if r["rcu_ns"] is not None and r["latency_ns"] is not None]
    assert counts.rcu_ns == sum(row["rcu_ns"] for row in both)
    assert counts.latency_ns == sum(row["latency_ns"] for row in both)
    assert counts.sync_rcu_ns == sum(row["rcu_ns"] for row in both if _kind(row) != "lazy")
    known = [r for r in done if r["rcu_ns"] is not None and r["n_held"] is not None]
    assert counts.known_rcu_ns == sum(row["rcu_ns"] for row in known)
    assert counts.held_rcu_ns == sum(row["rcu_ns"] for row in known if row["n_held"])
    assert counts.victims.count == sum(row["n_mounts"] is not None for row in done)
    kinds = [row["rcu_kind"] for row in done if row["rcu_kind"]]
    assert dict(counts.rcu_kinds) == {kind: kinds.count(kind) for kind in set(kinds)}


# Agresti and Coull, "Approximate is better than exact", The American Statistician 52 (1998): the
# score interval of 0 of 10 is 0 to 0.278, of 5 of 10 0.237 to 0.763.
@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1), (0, 0, 0, 1)],
)
def test_the_interval_of_a_share_is_the_one_of_the_books(part, whole, low, high):
    found = share_interval(part, whole)
    assert found == pytest.approx((low, high), abs=0.0005)


@given(st.integers(1, 10**6), st.data())
def test_an_interval_contains_its_share_and_is_symmetric(whole, data):
    part = data.draw(st.integers(0, whole))
    low, high = share_interval(part, whole)
    assert 0 <= low <= part / whole <= high <= 1
    assert share_interval(whole - part, whole) == pytest.approx((1 - high, 1 - low), abs=1e-9)
