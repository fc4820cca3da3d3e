"""`umtrace fleet diff`: a host is the unit."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from tests.fleet.fleets import cli_of
from tests.stats.rows import T0_NS
from umtrace.fleet import cells, resampled
from umtrace.fleet.about import About
from umtrace.fleet.compare import Side, compare
from umtrace.fleet.counting import HourlyCounts
from umtrace.fleet.file import encode
from umtrace.fleet.hosts import host_row
from umtrace.fleet.mapping import Part, Query, add_up
from umtrace.fleet.resampled import RESAMPLES, Resampled, student
from umtrace.fleet.storage import LocalFolder
from umtrace.stats.buckets import bucket_of

_QUERY = Query(by=("kernel",), resample=("latency_ns",))


def cells_of(latencies, kernel="6.12"):
    """Cells of one hour in which umounts took this long, latency alone."""
    counts = HourlyCounts(kernel, T0_NS)
    counts.add(rows_of(latencies))
    return counts.cells(counts.hours[0])[0]


def rows_of(latencies):
    from umtrace.model.umounts import SCHEMA

    n = len(latencies)
    given = {
        "t_start": pa.array(np.full(n, T0_NS)).cast(pa.timestamp("ns", tz="UTC")),
        "latency_ns": pa.array(latencies), "latency_bound": pa.array(["exact"] * n),
        "mode": pa.array(["sync"] * n), "origin": pa.array(["umount"] * n),
        "errno": pa.array([0] * n, pa.int32()), "complete": pa.array([True] * n),
        "tier": pa.array(["fentry"] * n),
    }  # fmt: skip
    columns = [given.get(f.name, pa.nulls(n, f.type)) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def part_of(host, latencies):
    table = cells_of(latencies)
    found = cells.add_up([table], _QUERY.by)
    about = About(host=host, boot_id=host, start_ns=T0_NS, hour_ns=T0_NS)
    return Part(
        cells=found, owners=cells.no_cells(("owner",)), hosts=host_row(host, table, [about], 1),
        resampled=Resampled.of_host(host, found, _QUERY.by, _QUERY.resample),
    )  # fmt: skip


def side(name, rng, hosts, *, prefix, spread, times=1.0, n=60):
    """A side of hosts that differ among each other by a factor of exp(spread)."""
    parts = [
        part_of(
            f"{prefix}{host}",
            (times * rng.lognormal(13 + spread * rng.normal(), 0.6, n)).astype(int),
        )
        for host in range(hosts)
    ]
    return Side(name=name, folder=prefix, query=_QUERY, part=add_up(parts, _QUERY))


def test_student_is_that_of_the_tables():
    assert student(0.975, 7) == pytest.approx(2.365, rel=0.002)
    assert student(0.975, 30) == pytest.approx(2.042, rel=0.002)
    assert student(0.9995, 7) == pytest.approx(5.408, rel=0.03)


def test_a_slower_side_is_found():
    rng = np.random.default_rng(1)
    a, b = (side(n, rng, 30, prefix=n, spread=0.2, times=t) for n, t in (("a", 1), ("b", 2)))
    found = compare(a, b, metrics=("latency_ns",))
    assert {change.verdict for change in found.changes if change.q < 0.99} == {"slower"}
    (p50,) = (change for change in found.changes if change.q == 0.5)
    assert p50.low < 2 < p50.high


def test_few_hosts_have_no_interval():
    rng = np.random.default_rng(2)
    a, b = (side(n, rng, 7, prefix=n, spread=0.0, times=t, n=2000) for n, t in (("a", 1), ("b", 9)))
    assert compare(a, b, metrics=("latency_ns",)).different == ()


def test_hosts_on_both_sides_are_compared_with_themselves():
    rng = np.random.default_rng(3)
    effects = rng.normal(size=20)
    sides = []
    for name, times in (("A", 1.0), ("B", 1.15)):
        parts = [
            part_of(f"h{n}", (times * rng.lognormal(13 + effect, 0.05, 200)).astype(int))
            for n, effect in enumerate(effects)
        ]
        sides.append(Side(name=name, folder="x", query=_QUERY, part=add_up(parts, _QUERY)))
    (p50,) = (c for c in compare(*sides, metrics=("latency_ns",)).changes if c.q == 0.5)
    assert p50.verdict == "slower"
    assert p50.high / p50.low < 1.4


def test_weights_are_those_of_the_name():
    one, again = (part_of("web1", [5000] * 10).resampled for _ in range(2))
    ((key, weighted),) = one.cells.items()
    assert (again.cells[key].counts == weighted.counts).all()
    assert weighted.counts.sum() == pytest.approx(10 * RESAMPLES, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_equal_sides_seldom_differ(spread):
    rng, tables, quantiles = np.random.default_rng(4), 100, (0.5, 0.9, 0.99)
    wrong = 0
    for table in range(tables):
        a, b = (_drawn(rng, f"{table}{side}", spread) for side in "ab")
        wrong += any(_differs(a, b, q, 0.05 / len(quantiles)) for q in quantiles)
    assert wrong / tables <= 0.1


def _drawn(rng, name, spread, hosts=16, n=60):
    """Values of hosts that differ by a factor of exp(spread), and their weighted counts."""
    values = [
        rng.lognormal(13 + spread * rng.normal(), 0.6, n).astype(np.int64) for _ in range(hosts)
    ]
    made = []
    for host, mine in enumerate(values):
        buckets, counts = np.unique(bucket_of(mine), return_counts=True)
        weights = resampled._weights(f"{name}{host}")
        made.append(resampled.Weighted(1, buckets, counts[:, None] * weights))
    return np.concatenate(values), sum(made[1:], made[0])


def _differs(a, b, q, alpha):
    ratio = np.quantile(b[0], q, method="inverted_cdf") / np.quantile(
        a[0], q, method="inverted_cdf"
    )
    return abs(np.log(ratio)) > np.log(resampled.ratio_factor(a[1], b[1], q, 1 - alpha))


@pytest.fixture
def fleet(tmp_path):
    """Hosts of two kernels; the newer one is slower."""
    rng = np.random.default_rng(5)
    for number in range(20):
        kernel, times = ("6.18", 3) if number % 2 else ("6.12", 1)
        table = cells_of((times * rng.lognormal(13, 0.5, 400)).astype(int), kernel)
        about = About(host=f"h{number}", boot_id="b", start_ns=T0_NS, hour_ns=T0_NS, kernel=kernel)
        LocalFolder(tmp_path).put(about.place, encode(about, table))
    return tmp_path


def test_the_command(fleet):
    sides = ("--a", "kernel=6.12", "--b", "kernel=6.18")
    status, text = cli_of("diff", fleet, *sides)
    assert status == 0
    assert "latency p50 is" in text
    assert "longer in B" in text
    assert max(map(len, text.splitlines())) <= 80
    found = json.loads(cli_of("diff", fleet, *sides, "--json")[1])
    assert {c["verdict"] for c in found["changes"] if c["quantile"] == 0.5} == {"slower"}
    assert found["warnings"] == []


def test_a_side_replaces_what_is_common(fleet):
    text = cli_of("diff", fleet, fleet, "--where", "host=h1*", "--a", "host=h[24]")[1]
    assert "A has 2 hosts" in text
    assert "fleet" in text
