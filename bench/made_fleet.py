"""Makes a fleet of hosts that do not exist, from what the bundled recordings have; and measures it.

    python -m bench.made_fleet make FOLDER --hosts 200 --rows 2000
    python -m bench.made_fleet measure FOLDER

``make`` draws rows of the bundled recordings again, by a seed. Hosts run one of three kernels, of
which one is of a real-time kernel; each host has a speed of its own, two are slow, one is missing,
one lost a part of its file, and one has a wrong clock. ``measure`` prints the CPU time of map and
reduce apart, memory, and what two workers take.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from umtrace.fleet.about import About
from umtrace.fleet.counting import HourlyCounts, row_columns
from umtrace.fleet.engine import EVERY
from umtrace.fleet.file import encode
from umtrace.fleet.items import tasks_in
from umtrace.fleet.mapping import Part, Query, add_up, count
from umtrace.fleet.report import RESAMPLED
from umtrace.fleet.storage import LocalFolder
from umtrace.query.selection import Selection
from umtrace.recording import Recording
from umtrace.stats.summarize import METRICS

START_NS = 1_767_571_200_000_000_000  # 2026-01-05, a Monday
HOUR_NS = 3_600_000_000_000
_RECORDINGS = Path(__file__).parents[1] / "recordings"
#: kernel, recording that its rows are drawn from, share of hosts
_KERNELS = (
    ("6.12.1 PREEMPT_DYNAMIC", "lab-6.12.umt", 0.6),
    ("6.18.2 PREEMPT_DYNAMIC", "lab-ebusy.umt", 0.3),
    ("6.12.1-rt PREEMPT_RT", "lab-6.12-rt.umt", 0.1),
)
_OWNERS = 40
_SPREAD = 0.15


def pools() -> list[pa.RecordBatch]:
    """Return the rows that are drawn from, of each kernel."""
    found = []
    for _, name, _ in _KERNELS:
        recording = Recording.open(_RECORDINGS / name)
        columns = row_columns(recording.schema("umounts").names)
        table = pa.Table.from_batches(Selection(recording).batches(columns))
        found.append(table.combine_chunks().to_batches()[0])
    return found


def hours_of(
    host: int, rows: int, pool: pa.RecordBatch, rng: np.random.Generator, hours: int = 1
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (begin, rows) of each hour of a host."""
    speed = float(np.exp(_SPREAD * rng.normal())) * (12.0 if host in {17, 101} else 1.0)
    for hour in range(hours):
        begin = START_NS + hour * HOUR_NS
        drawn = pool.take(pa.array(rng.integers(0, pool.num_rows, rows // hours)))
        yield begin, _changed(drawn, begin, speed, rng)


def _changed(
    rows: pa.RecordBatch, begin: int, speed: float, rng: np.random.Generator
) -> pa.RecordBatch:
    columns = []
    noise = speed * rng.lognormal(0, 0.1, rows.num_rows)
    owners = pa.array([f"shop/web-{n}" for n in range(_OWNERS)])
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if field.name in METRICS:
            values = np.nan_to_num(column.to_numpy(zero_copy_only=False).astype(float)) * noise
            column = pa.array(values.astype(np.int64), mask=np.asarray(column.is_null()))  # noqa: PLW2901
        elif field.name == "t_start":
            times = begin + rng.integers(0, HOUR_NS, rows.num_rows)
            column = pa.array(times).cast(field.type)  # noqa: PLW2901
        elif field.name == "container":
            column = owners.take(pa.array(rng.zipf(1.6, rows.num_rows) % _OWNERS))  # noqa: PLW2901
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def make(folder: Path, hosts: int, rows: int, *, hours: int = 1, seed: int = 1) -> float:
    """Write the summaries of a fleet; return the CPU seconds of the map over rows alone."""
    storage, mapped = LocalFolder(folder), 0.0
    drawn = pools()
    shares = np.cumsum([share for *_, share in _KERNELS])
    for host in range(hosts):
        rng = np.random.default_rng([seed, host])
        kind = int(np.searchsorted(shares, rng.random()))
        name = f"node{host:04d}"
        about = About(
            host=name, boot_id=f"{host:032x}", start_ns=START_NS + host, hour_ns=START_NS,
            end_ns=START_NS + hours * HOUR_NS, kernel=_KERNELS[kind][0], tier="fentry",
            format="1.0",
        )  # fmt: skip
        for begin, batch in hours_of(host, rows, drawn[kind], rng, hours):
            started = time.process_time()
            counts = HourlyCounts(about.kernel, about.start_ns)
            for at in range(0, batch.num_rows, 65536):
                counts.add(batch.slice(at, 65536))
            table, folded = counts.cells(begin)
            whole = replace(about, hour_ns=begin, rows=batch.num_rows, folded_owners=folded)
            data = encode(whole, table)
            mapped += time.process_time() - started
            storage.put(whole.place, data)
    return mapped


def spoil(folder: Path, hosts: int) -> list[str]:
    """Make one host miss, one file short, one file double; return the list of expected hosts."""
    paths = sorted(folder.rglob("*.parquet"))
    expected = [f"node{host:04d}" for host in range(hosts)] + ["node9999"]
    paths[3].write_bytes(paths[3].read_bytes()[:-200])
    (paths[5].parent / "again.parquet").write_bytes(paths[5].read_bytes())
    return expected


_QUERY = Query(by=("kernel",), resample=RESAMPLED, owners=True, now_ns=START_NS * 2)


def measure(folder: Path) -> dict[str, float]:
    """Return CPU seconds of reading and of adding up, and the peak of memory in MiB."""
    tasks = tasks_in([str(folder)])
    read = added = 0.0
    pending: list[Part] = []
    for task in tasks:
        started = time.process_time()
        pending.append(count(task, _QUERY))
        read += time.process_time() - started
        if len(pending) == EVERY:
            started = time.process_time()
            pending = [add_up(pending, _QUERY)]
            added += time.process_time() - started
    started = time.process_time()
    umounts = sum(add_up(pending, _QUERY).hosts["umounts"].to_pylist())
    added += time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"hosts": len(tasks), "umounts": umounts, "read_s": read, "add_s": added, "mib": peak}


def workers(folder: Path, number: int) -> float:
    """Return the CPU seconds that workers of a Dask cluster take, without their start."""
    from distributed import Client, LocalCluster

    from umtrace.fleet.cluster import run_on_cluster

    tasks = tasks_in([str(folder)])
    with (
        LocalCluster(n_workers=number, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        run_on_cluster(tasks[:number], _QUERY, cluster.scheduler_address)  # imports
        before = sum(client.run(time.process_time).values())
        run_on_cluster(tasks, _QUERY, cluster.scheduler_address)
        return float(sum(client.run(time.process_time).values()) - before)


def _measured_apart(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.made_fleet", "_one", str(folder)]
    found: dict[str, float] = json.loads(subprocess.check_output(command))
    return found


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m bench.made_fleet")
    parser.add_argument("command", choices=("make", "measure", "_one"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--rows", type=int, default=2000)
    given = parser.parse_args()
    if given.command == "_one":
        print(json.dumps(measure(given.folder)))
        return
    if given.command == "make":
        cpu = make(given.folder, given.hosts, given.rows)
        millions = given.hosts * given.rows / 1e6
        print(f"counted {millions:g} million rows: {cpu / millions:.2f} s CPU per million")
        return
    print(json.dumps(_measured_apart(given.folder)))
    for number in (1, 2):
        print(f"{number} workers: {workers(given.folder, number):.1f} s CPU")


if __name__ == "__main__":
    main()
