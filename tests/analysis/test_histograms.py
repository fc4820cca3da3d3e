from __future__ import annotations

import pandas as pd
import pytest

from tests.stats.rows import container_host, row
from umtrace.analysis.histograms import Histograms


@pytest.fixture
def by_mode(select):
    return Histograms.of(select(container_host(200)).summary(("mode",), ("rcu_ns",)), "rcu_ns")


def test_is_a_mapping_of_groups(by_mode):
    assert list(by_mode) == ["sync", "lazy"]
    assert by_mode["lazy"].count == 62
    assert by_mode.total.count == 187
    with pytest.raises(KeyError):
        by_mode["fast"]


def test_quantiles_are_those_of_the_report(by_mode):
    frame = by_mode.quantile([0.5, 0.99])
    above = by_mode["sync"].without_zeros()
    assert frame.loc["sync", "p50"] == above.quantile(0.5)
    assert frame.loc["sync", "n"] + frame.loc["sync", "zeros"] == 125  # 13 more failed
    assert frame.dtypes["p99"] == pd.Int64Dtype()
    interval = by_mode.interval(0.5)
    assert (
        interval.loc["lazy", "low"] <= interval.loc["lazy", "value"] <= interval.loc["lazy", "high"]
    )


def test_the_buckets_add_up(by_mode):
    frame = by_mode.to_frame()
    assert list(frame.columns) == ["mode", "lower_ns", "upper_ns", "count"]
    assert frame.groupby("mode")["count"].sum().to_dict() == {"sync": 125, "lazy": 62}
    assert (frame["lower_ns"] <= frame["upper_ns"]).all()


def test_two_recordings_add_up(by_mode, select):
    other = Histograms.of(select([row(rcu_ns=5)]).summary(("mode",), ("rcu_ns",)), "rcu_ns")
    both = by_mode + other
    assert both["sync"].count == 126
    assert both["sync"].min == 5
    with pytest.raises(ValueError, match="do not count the same"):
        by_mode + Histograms("put_ns", ("mode",), {})


@pytest.mark.parametrize("by", [(), ("mode", "fstype")])
def test_none_and_several_keys(select, by):
    found = Histograms.of(select(container_host(50)).summary(by, ("rcu_ns",)), "rcu_ns")
    assert len(found.quantile(0.5)) == len(found) == (2 if by else 1)
    assert found[("sync", "tmpfs") if by else "all"].count > 0
    assert found.to_frame()["count"].sum() == 47  # 3 more failed
    assert found.interval(0.5).shape[1] == 3


def test_nothing_is_empty_and_typed(select):
    found = Histograms.of(select([]).summary(("mode",), ("rcu_ns",)), "rcu_ns")
    assert found.quantile(0.5).empty
    assert found.to_frame().empty
    assert "0 values" in repr(found)
