"""What a big recording costs to read: made-up rows, real files; wall clock, CPU, peak memory.

    .venv/bin/python -m bench.scale --rows 10000000

Each reading is a process of its own. The recording is made in a temporary directory and
deleted afterwards; ten million rows take some 350 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.child import in_child
from bench.memory import peak_kib
from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.model.arrow import choice, fixed
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.umounts import SCHEMA
from umtrace.model.windows import windows_to_arrow
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.recorder import WITHIN
from umtrace.recording import Meta, RecordingWriter

T0_NS = 1_767_225_600_000_000_000
NS_PER_ROW = 2_000_000
BATCH = 65_536
BUSY = 0.1
AT_ONCE = 512  # rows in which EBUSYs are looked for, as a recorder has them

_READ = "import sys, umtrace; rec = umtrace.load(sys.argv[1])\n"
READINGS = {
    "open": _READ,
    "summary (stats alone)": _READ + "rec.summary()",
    "histogram of one column": _READ + "rec.histogram('rcu_ns', by='mode')",
    "two columns as a frame": _READ + "rec.read_umounts(['t_start', 'latency_ns'])",
    "heat map": _READ + "rec.plot.heatmap()",
    "timeline": _READ + "rec.plot.timeline()",
    "one minute of two columns": _READ
    + "rec.read_umounts(['t_start', 'path'], span=('2026-01-01 02:00', '2026-01-01 02:01'))",
    "umtrace report": "import sys; from umtrace.cli.main import run; run(['report', sys.argv[1]])",
    "umtrace report --mode sync": "import sys; from umtrace.cli.main import run; "
    "run(['report', '--mode', 'sync', sys.argv[1]])",
    "umtrace report --comm runc": "import sys; from umtrace.cli.main import run; "
    "run(['report', '--comm', 'runc', sys.argv[1]])",
    "umtrace ebusy": "import sys; from umtrace.cli.main import run; run(['ebusy', sys.argv[1]])",
    "umtrace hist": "import sys; from umtrace.cli.main import run; run(['hist', sys.argv[1]])",
    "umtrace plot cdf": "import sys; from umtrace.cli.main import run; "
    "run(['plot', sys.argv[1], '--kind', 'cdf', '-o', sys.argv[1] + '/cdf.png', '--force'])",
    "umtrace html": "import sys; from umtrace.cli.main import run; "
    "run(['html', sys.argv[1], '-o', sys.argv[1] + '/page.html', '--force'])",
}
_COST = (
    "\nimport time; from bench.memory import peak_kib; "
    "print(time.process_time(), peak_kib(), file=sys.stderr)"
)


#: what `make bench` takes of them
FEW = ("open", "summary (stats alone)", "umtrace report", "umtrace ebusy")


def rows_read(
    rows: int, names: Iterable[str], keep: Path | None = None, busy: float = BUSY
) -> Iterator[dict[str, Any]]:
    """Yield a result for writing a recording of ``rows`` rows, and one for each reading."""
    with tempfile.TemporaryDirectory() as scratch:
        path = keep or Path(scratch) / "scale.umt"
        if not path.exists():
            made = in_child(_made, (path, rows, busy), 600 + rows / 50_000)
            yield {"what": "write", "rows": rows, **made.pop("write", made)}
            if made:
                yield {"what": "find EBUSY windows", "rows": rows, **made["ebusy"]}
        for name in names:
            seconds, cpu_s, peak_kib = measure(READINGS[name], path)
            peak = peak_kib / 1024
            yield {"what": name, "rows": rows, "s": seconds, "cpu_s": cpu_s, "peak_mib": peak}


class Watch:
    """Adds up the wall clock and the CPU time of blocks."""

    def __init__(self) -> None:
        self.s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic(), time.process_time()

    def __exit__(self, *_error: object) -> None:
        self.s += time.monotonic() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def _made(path: Path, rows: int, busy: float, answer: Any) -> None:
    watches = make(path, rows, busy)
    peak = peak_kib() / 1024
    made = {n: {"s": w.s, "cpu_s": w.cpu_s, "peak_mib": peak} for n, w in watches.items()}
    made["write"]["mb"] = _size(path) / 1e6
    answer.put(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="make it here and leave it")
    parser.add_argument("--busy", type=float, default=BUSY, help="share of sync umounts: EBUSY")
    parser.add_argument("--readings", nargs="+", choices=READINGS, default=list(READINGS))
    given = parser.parse_args()
    for one in rows_read(given.rows, given.readings, given.keep, given.busy):
        size = f"  {one['mb']:.0f} MB" if "mb" in one else ""
        cost = f"{one['s']:7.2f} s  {one['cpu_s']:6.2f} CPU s  {one['peak_mib']:6.0f} MiB"
        print(f"{one['what']:<26} {cost}{size}", flush=True)


def measure(code: str, path: Path) -> tuple[float, float, int]:
    """Return wall clock seconds, CPU seconds and peak memory in KiB of a Python process."""
    began = time.monotonic()
    command = [sys.executable, "-c", code + _COST, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cpu_s, peak = done.stderr.split()[-2:]
    return time.monotonic() - began, float(cpu_s), int(peak)


def make(path: Path, rows: int, busy: float = BUSY) -> dict[str, Watch]:
    """Write a recording of a busy container host: three bursts, ``busy`` of the sync ones.

    What it took to write, and to find the EBUSY windows, without making the rows up.
    """
    meta = Meta(
        tier="synthetic",
        clock=ClockPair(5, T0_NS),
        start_ns=T0_NS,
        kernel="synthetic",
        losses=LossReport(
            ring_events=0, ring_names=0, task_map_full=0, stacks_lost=0, probe_misses=0
        ),
    )
    rng = np.random.default_rng(7)
    meta = replace(meta, extra={WITHIN: SPURIOUS_WITHIN_NS})
    stage = EbusyStage(offset_ns=meta.clock.offset_ns, previews=False)
    write, ebusy = Watch(), Watch()
    writer = RecordingWriter(path, meta)
    for first in range(0, rows, BATCH):
        made = batch(rng, first, min(BATCH, rows - first), rows, busy)
        with write:
            writer.write(EventBatch(), made)
        for at in range(0, len(made), AT_ONCE):
            with ebusy:
                windows = windows_to_arrow(stage.feed(made.slice(at, AT_ONCE)).windows)
            with write:
                writer.append("ebusy", windows)
    with ebusy:
        windows = windows_to_arrow(stage.finish().windows)
    with write:
        writer.append("ebusy", windows)
        writer.close()
    return {"write": write, "ebusy": ebusy}


def batch(
    rng: np.random.Generator, first: int, n: int, rows: int, share: float = BUSY
) -> pa.RecordBatch:
    """Return n of ``rows`` rows, from number ``first`` on; ``share`` of the sync ones are busy."""
    lazy = rng.random(n) < 0.3
    busy = ~lazy & (rng.random(n) < share)
    start = np.sort(first * NS_PER_ROW + rng.integers(0, n * NS_PER_ROW, n))
    third = max(rows * NS_PER_ROW // 3, 1)
    burst = np.where(start % third < third // 4, 8, 1)
    phases = {
        "lookup_ns": rng.lognormal(8, 0.5, n),
        "lock_ns": rng.lognormal(6, 1, n),
        "tree_ns": rng.lognormal(7.5, 0.4, n),
        "rcu_ns": np.where(busy, 0, rng.lognormal(13, 0.8, n) * burst),
        "put_ns": rng.lognormal(6.5, 0.3, n),
        "shutdown_ns": np.where(busy | lazy, 0, rng.lognormal(12, 1.2, n)),
        "other_ns": rng.lognormal(8.5, 0.6, n),
    }
    numbers = {name: values.astype(np.int64) for name, values in phases.items()}
    numbers |= {
        "id": np.arange(first, first + n),
        "t_start": T0_NS + start,
        "latency_ns": np.sum(list(numbers.values()), axis=0),
        "errno": np.where(busy, 16, 0),
        "pid": rng.integers(1000, 1064, n),
        "complete": np.ones(n, np.bool_),
        "n_mounts": np.minimum(2 ** rng.geometric(0.5, n) - 1, 4096),
    }
    texts = {
        "mode": (lazy.astype(np.int64), ["sync", "lazy"]),
        "comm": (rng.integers(0, 3, n), ["umount", "runc", "containerd"]),
        "container": (rng.integers(-1, 40, n), [f"{i:02x}" * 32 for i in range(40)]),
        "fstype": (rng.integers(0, 3, n), ["tmpfs", "overlay", "ext4"]),
        "path": (rng.integers(0, 2000, n), [f"/var/lib/c/{i:05}/rootfs" for i in range(2000)]),
        "origin": (np.zeros(n, np.int64), ["umount"]),
        "latency_bound": (np.zeros(n, np.int64), ["exact"]),
        "tier": (np.zeros(n, np.int64), ["synthetic"]),
        "rcu_kind": (busy.astype(np.int64), ["expedited", "none"]),
    }
    columns = {name: choice(*given) for name, given in texts.items()}
    columns |= {name: fixed(v, SCHEMA.field(name).type) for name, v in numbers.items()}
    arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


if __name__ == "__main__":
    main()
