from __future__ import annotations

import errno

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import batch_of, container_host, row
from umtrace.model.errors import UsageError
from umtrace.model.umounts import PHASES
from umtrace.stats.groups import KEYS
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import METRICS, columns_for, summarize

_maybe_ns = st.one_of(st.none(), st.integers(0, 10**9), st.integers(2**55, 2**62))
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["sync", "lazy", None]),
            "errno": st.sampled_from([0, 16, 22, None]),
            "comm": st.sampled_from(["a", "b"]),
            "complete": st.sampled_from([True, False, None]),
            "latency_bound": st.sampled_from(["exact", "upper", None]),
            "latency_ns": _maybe_ns,
            "rcu_ns": _maybe_ns,
        }
    ),
    max_size=40,
)


def _expected(rows, key):
    mine = [r for r in rows if (r["mode"], r["errno"]) == key]
    both = [r for r in mine if r["rcu_ns"] is not None and r["latency_ns"] is not None]
    return {
        "count": len(mine),
        "n_incomplete": sum(r["complete"] is not True for r in mine),
        "n_upper": sum(r["latency_bound"] == "upper" for r in mine),
        "rcu": Histogram.of([r["rcu_ns"] for r in mine if r["rcu_ns"] is not None]),
        "n_null": sum(r["rcu_ns"] is None for r in mine),
        "shared": (len(both), sum(r["rcu_ns"] for r in both), sum(r["latency_ns"] for r in both)),
    }


@given(_rows, st.integers(1, 7))
def test_agrees_with_counting_row_by_row(rows, size):
    rows = [row(**given) for given in rows]
    batches = [batch_of(rows[start : start + size]) for start in range(0, len(rows), size)]
    summary = summarize(batches, by=("mode", "errno"))
    assert {g.key for g in summary.groups} == {(r["mode"], r["errno"]) for r in rows}
    for group in summary.groups:
        rcu = group.metric("rcu_ns")
        assert _expected(rows, group.key) == {
            "count": group.count,
            "n_incomplete": group.n_incomplete,
            "n_upper": group.n_upper,
            "rcu": rcu.histogram,
            "n_null": rcu.n_null,
            "shared": (rcu.n_shared, rcu.shared_ns, rcu.shared_latency_ns),
        }


@given(_rows)
def test_total_is_the_summary_without_keys(rows):
    batch = batch_of([row(**given) for given in rows])
    assert summarize([batch]).total == summarize([batch], by=()).total


def test_failures_are_counted_by_name_and_the_unknown_apart():
    rows = [row(errno=code) for code in (0, 16, 16, 22, 4095, None)]
    (group,) = summarize([batch_of(rows)]).groups
    assert group.errnos == {"EBUSY": 2, "4095": 1, "EINVAL": 1}
    assert next(iter(group.errnos)) == "EBUSY"
    assert group.n_failed == 4
    assert group.n_outcome_unknown == 1
    assert errno.errorcode[16] == "EBUSY"


def test_unknown_is_not_zero():
    rows = [row(rcu_ns=None, latency_ns=100), row(rcu_ns=0, latency_ns=100)]
    (group,) = summarize([batch_of(rows)]).groups
    rcu = group.metric("rcu_ns")
    assert (rcu.histogram.count, rcu.n_null, rcu.share) == (1, 1, 0.0)
    assert rcu.occurred.count == 0
    assert group.metric("lock_ns").share is None


def test_a_negative_duration_is_counted_apart():
    rows = [row(other_ns=-5, latency_ns=100), row(other_ns=5, latency_ns=100)]
    (group,) = summarize([batch_of(rows)]).groups
    other = group.metric("other_ns")
    assert (other.histogram.count, other.n_negative, other.share) == (1, 1, 0.05)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_groups(key):
    assert summarize([batch_of(container_host(20))], by=(key,)).by == (key,)


def test_unknown_key_is_a_usage_error():
    with pytest.raises(UsageError, match="cannot group by 'path'"):
        summarize([], by=("path",))


def test_groups_are_sorted_by_size_and_then_by_key_with_null_last():
    rows = [row(comm=comm) for comm in ("b", None, "a", "z", "z")]
    keys = [group.key for group in summarize([batch_of(rows)], by=("comm",)).groups]
    assert keys == [("z",), ("a",), ("b",), (None,)]


def test_reads_only_the_columns_it_names_and_takes_dictionaries():
    batch = batch_of(container_host(50)).select(columns_for(("mode",), METRICS))
    encoded = batch.set_column(
        batch.schema.get_field_index("mode"), "mode", batch.column("mode").dictionary_encode()
    )
    assert isinstance(encoded.column("mode"), pa.DictionaryArray)
    assert summarize([encoded], metrics=METRICS) == summarize([batch], metrics=METRICS)


def test_many_groups_and_batches_keep_every_count():
    rng = np.random.default_rng(3)
    batches = [
        batch_of(row(mntns=int(ns), rcu_ns=int(ns), latency_ns=10**6) for ns in part)
        for part in rng.integers(1, 400, (20, 300))
    ]
    summary = summarize(batches, by=("mntns",))
    assert summary.total.count == 6000
    for group in summary.groups:
        rcu = group.metric("rcu_ns").histogram
        assert rcu.min == rcu.max == group.key[0]
        assert rcu.sum == group.count * group.key[0]


def test_no_rows_make_no_groups():
    summary = summarize([batch_of([])])
    assert summary.groups == ()
    assert summary.total.count == 0
    assert all(summary.total.metric(name).share is None for name in PHASES)


def test_failed_umounts_have_times_of_their_own():
    rows = [row(id=0, latency_ns=10), row(id=1, latency_ns=2, errno=16), row(id=2, errno=None)]
    total = summarize([batch_of(rows)], by=()).total
    assert (total.count, total.n_failed, total.n_timed) == (3, 1, 2)
    assert total.population == " that did not fail"
    latency = total.metric("latency_ns")
    assert (latency.histogram.count, latency.histogram.max, latency.n_null) == (1, 10, 1)
    assert total.failed_metrics["latency_ns"].histogram.max == 2


def test_where_all_failed_the_times_are_theirs():
    rows = [row(id=0, latency_ns=10), row(id=1, latency_ns=2, errno=16)]
    groups = {g.key: g for g in summarize([batch_of(rows)], by=("errno",)).groups}
    assert groups[(16,)].metric("latency_ns").histogram.max == 2
    assert groups[(16,)].population == " that failed"
    assert groups[(0,)].population == ""
    total = summarize([batch_of(rows)], by=("errno",)).total
    assert total.metric("latency_ns").histogram.max == 10
    assert total == summarize([batch_of(rows)], by=()).total
