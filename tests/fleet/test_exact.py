"""Counts are exact: as DuckDB counts them, in any order and split, and in each file."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import pairwise, product
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.fleets import record, summarize
from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.fleet import cells
from umtrace.fleet.counting import HourlyCounts
from umtrace.fleet.file import SummaryFile
from umtrace.fleet.summarize import summaries_of
from umtrace.model.umounts import SCHEMA
from umtrace.recording import Recording
from umtrace.stats.summarize import METRICS

RECORDINGS = sorted((Path(__file__).parents[2] / "recordings").glob("*.umt"))
_BUCKET = """
case when {0} < 128 then {0}
else (floor(log2({0}))::bigint - 6) * 128 + ({0} >> (floor(log2({0}))::bigint - 7)) - 128 end
"""
_KEYS = "tier, latency_bound, mode, origin, container as owner"


def sql(query, **tables):
    """Run a query; ``tables`` are what it calls by their names."""
    connection = _connection()
    for name, table in tables.items():
        connection.register(name, table)
    return connection.execute(query).fetchall()


@lru_cache
def _connection():
    return duckdb.connect(config={"threads": 1})


def all_columns(path):
    """The rows of a recording, which may be older than some of the columns."""
    _connection().register("nothing", SCHEMA.empty_table())
    return f"(from '{path}/umounts-*.parquet' union all by name from nothing)"


def cells_of(path):
    return cells.add_up(table for _, table in summaries_of(Recording.open(path)))


#: the rows behind a measure, and behind the same one of the umounts that failed
_POPULATIONS = {"": "coalesce(errno, 0) = 0", cells.FAILED: "errno <> 0"}


def of_rows(measure, table, which):
    """What DuckDB counts in the rows: a set of (keys, bucket, count)."""
    bucket = _BUCKET.format(measure)
    query = f"""
        select {_KEYS}, {bucket} as bucket, count(*) from {table}
        where {measure} is not null and origin is distinct from 'mount-internal'
        and {which} group by all
    """
    return set(sql(query))


def of_cells(measure, found):
    query = f"""
        select tier, latency_bound, mode, origin, owner, bucket, sum(count)::bigint from found
        where measure = '{measure}' and bucket is not null group by all
    """
    return set(sql(query, found=found))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_they_are_those_of_duckdb(path):
    found = cells.add_up(table for _, table in summaries_of(Recording.open(path)))
    rows = all_columns(path)
    for measure, (suffix, which) in product(METRICS, _POPULATIONS.items()):
        assert of_cells(measure + suffix, found) == of_rows(measure, rows, which), measure


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_sums_and_unknowns_are_those_of_duckdb(path):
    found = cells_of(path)
    for measure, (suffix, which) in product(METRICS, _POPULATIONS.items()):
        query = f"""
            select count({measure}), count(*) - count({measure}), coalesce(sum({measure}), 0),
            min({measure}), max({measure}) from {all_columns(path)}
            where origin is distinct from 'mount-internal' and {which}
        """
        mine = f"""
            select coalesce(sum(count), 0), coalesce(sum(unknown), 0),
            coalesce(sum(sum_ns)::hugeint, 0), min(min_ns), max(max_ns)
            from found where measure = '{measure}{suffix}' and bucket is null
        """
        assert sql(mine, found=found) == sql(query), measure


def test_errnos_and_windows_are_those_of_duckdb():
    path = next(path for path in RECORDINGS if path.stem == "lab-ebusy")
    found = cells_of(path)
    errnos = sql(
        """
        select bucket, sum(count)::bigint from found where measure = 'errno' group by all
    """,
        found=found,
    )
    rows = sql(f"""
        select coalesce(errno, -1), count(*) from {all_columns(path)}
        where origin is distinct from 'mount-internal' group by all
    """)
    assert set(errnos) == set(rows)
    windows = sql(
        """
        select measure, bucket, sum(count)::bigint from found where measure like 'ebusy.%'
        group by all
    """,
        found=found,
    )
    stored = sql(f"""
        select 'ebusy.' || class, coalesce(spurious::int, -1), count(*)
        from '{path}/ebusy-*.parquet' group by all
    """)
    assert set(windows) == set(stored)


def test_a_file_gives_the_cells_that_it_was_given(tmp_path):
    record(tmp_path / "rec.umt")
    (place,) = summarize(tmp_path / "rec.umt", tmp_path / "out")
    ((about, table),) = summaries_of(Recording.open(tmp_path / "rec.umt"))
    read = SummaryFile(tmp_path / "out" / place)
    assert read.about == about
    assert read.cells().equals(table)
    before = (tmp_path / "out" / place).read_bytes()
    summarize(tmp_path / "rec.umt", tmp_path / "out")
    assert (tmp_path / "out" / place).read_bytes() == before


def test_a_missing_column_is_unknown():
    (table,) = (table for _, table in _hours(container_host(20)))
    held = table.filter(pa.compute.equal(table["measure"], "n_held")).to_pydict()
    assert set(held["bucket"]) == {-1}
    assert sum(held["count"]) == sum(not row["errno"] for row in container_host(20)) < 20


def test_held_is_counted_where_there_is_such_a_column():
    done, failed = row(t_start=T0_NS, rcu_ns=1), row(t_start=T0_NS, errno=16)
    rows = batch_of([done, done, done, done, failed])
    held = pa.array([0, 3, None, 1, 0], pa.int32())
    counts = HourlyCounts("6.12", T0_NS)
    at = rows.schema.get_field_index("n_held")
    rows = rows.set_column(at, "n_held", held) if at >= 0 else rows.append_column("n_held", held)
    counts.add(rows)
    table, _ = counts.cells(counts.hours[0])
    found = table.filter(pa.compute.equal(table["measure"], "n_held")).to_pydict()
    assert dict(zip(found["bucket"], found["count"], strict=True)) == {0: 1, 1: 2, -1: 1}


def test_owners_are_bounded_and_the_rest_is_counted():
    rows = [row(t_start=T0_NS, container=f"{n:064x}", rcu_ns=5) for n in range(70)]
    rows += rows[:10]
    ((hour, table),) = _hours(rows)
    complete = table.filter(pa.compute.equal(table["measure"], "complete")).to_pydict()
    owners = dict(zip(complete["owner"], complete["count"], strict=True))
    assert len(owners) == 51
    assert owners[cells.OTHER] == 20
    assert all(owners[f"{n:064x}"] == 2 for n in range(10))
    assert hour == T0_NS


def test_rows_are_counted_in_the_hour_in_which_they_began():
    rows = [row(t_start=T0_NS + minute * 60 * 10**9, rcu_ns=7) for minute in (10, 59, 60, 200)]
    hours = dict(_hours([*rows, row(rcu_ns=9)]))
    began = {(hour - T0_NS) // (3600 * 10**9): _total(table) for hour, table in hours.items()}
    assert began == {0: 3, 1: 1, 3: 1}  # one row of which the begin is unknown


def _hours(rows):
    counts = HourlyCounts("6.12", T0_NS)
    counts.add(batch_of(rows))
    return [(hour, counts.cells(hour)[0]) for hour in counts.hours]


def _total(table):
    complete = table.filter(pa.compute.equal(table["measure"], "complete"))
    return sum(complete["count"].to_pylist())


_ROWS = container_host(120, seed=3)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 120), max_size=6))
def test_any_order_and_split_gives_the_same_cells(seed, cuts):
    rows = list(_ROWS)
    random.Random(seed).shuffle(rows)
    bounds = [0, *sorted(cuts), len(rows)]
    parts = [rows[a:b] for a, b in pairwise(bounds) if a < b]
    tables = [table for part in parts for _, table in _hours(part)]
    half = len(tables) // 2
    tree = [cells.add_up(tables[:half]), cells.add_up(tables[half:])]
    whole = cells.add_up([table for _, table in _hours(_ROWS)])
    assert cells.add_up(tree).equals(whole)
    assert cells.add_up(tables).equals(whole)
    assert cells.add_up(tree, by=("mode",)).equals(cells.add_up([whole], by=("mode",)))


def test_sums_beyond_64_bits_are_exact():
    rows = [row(t_start=T0_NS, rcu_ns=2**61, latency_ns=2**61)] * 40
    tables = [table for _, table in _hours(rows)] * 3
    whole = cells.add_up(tables)
    cells.check(whole)
    latency = whole.filter(pa.compute.equal(whole["measure"], "latency_ns"))
    assert max(filter(None, latency["sum_ns"].to_pylist())) == 120 * 2**61
