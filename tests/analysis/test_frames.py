from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.analysis.frames import CATEGORIES, rows_to_frame
from umtrace.model.umounts import SCHEMA


def _frame(rows):
    return rows_to_frame(pa.Table.from_batches([batch_of(rows)]))


@pytest.mark.parametrize("rows", [[], [row()], container_host(30)])
def test_types_do_not_depend_on_the_rows(rows):
    frame = _frame(rows)
    assert list(frame.columns) == SCHEMA.names
    assert len(frame) == len(rows)
    assert frame.dtypes["t_start"] == pd.DatetimeTZDtype("ns", "UTC")
    assert frame.dtypes["latency_ns"] == pd.Int64Dtype()
    assert frame.dtypes["cgroup_id"] == pd.UInt64Dtype()
    assert frame.dtypes["errno"] == pd.Int32Dtype()
    assert frame.dtypes["complete"] == pd.BooleanDtype()
    assert frame.dtypes["path"] == pd.StringDtype()
    for name in set(CATEGORIES) & set(SCHEMA.names):
        assert isinstance(frame.dtypes[name], pd.CategoricalDtype)


def test_unknown_stays_apart_from_zero_and_integers_stay_exact():
    frame = _frame([row(rcu_ns=0, cgroup_id=2**64 - 1, t_start=T0_NS), row(rcu_ns=None)])
    assert frame["rcu_ns"].isna().tolist() == [False, True]
    assert frame["rcu_ns"].sum() == 0
    assert frame["cgroup_id"][0] == 2**64 - 1
    assert frame["t_start"][0] == pd.Timestamp("2026-01-01", tz="UTC")


def test_takes_some_of_the_columns():
    table = pa.Table.from_batches([batch_of([row()])]).select(["mode", "rcu_ns"])
    assert list(rows_to_frame(table).columns) == ["mode", "rcu_ns"]
