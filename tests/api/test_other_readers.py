"""A recording is Parquet: who has no umtrace reads it all the same."""

from __future__ import annotations

import duckdb
import pandas as pd
import pyarrow.dataset as ds

from tests.stats.rows import container_host

RCU = sorted(row["rcu_ns"] for row in container_host(200))


def test_duckdb(path):
    query = f"select count(*), sum(rcu_ns), max(t_start)::varchar from '{path}/umounts-*.parquet'"
    ((count, total, last),) = duckdb.sql(query).fetchall()
    assert (count, total) == (200, sum(RCU))
    assert last.startswith("2026-01-01 00:00:")


def test_pandas(path):
    (chunk,) = path.glob("umounts-*.parquet")
    frame = pd.read_parquet(chunk, dtype_backend="numpy_nullable")
    assert sorted(frame["rcu_ns"]) == RCU
    assert frame["container"].str.len().eq(64).all()


def test_pyarrow_dataset(path):
    chunks = ds.dataset(sorted(map(str, path.glob("umounts-*.parquet"))))
    table = chunks.to_table(columns=["rcu_ns"], filter=ds.field("mode") == "lazy")
    assert table.num_rows == 62
