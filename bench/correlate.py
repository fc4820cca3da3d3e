"""Events to rows: the array code beside the plain state machine and a DuckDB query.

.venv/bin/python -m bench.correlate --events 1000000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from bench.child import in_child
from bench.memory import peak_kib, reset_peak
from bench.state_machine import rows as plain_rows
from bench.streams import stream
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import EventBatch
from umtrace.model.umounts import SCHEMA

# The same latencies and RCU waits by window functions; no names, no losses, no phases.
_QUERY = """
with numbered as (
  select *, sum((kind = 1)::int) over (partition by tid order by ts_ns) as op from events)
select tid, op, min(ts_ns) as t, max(ts_ns) - min(ts_ns) as latency,
  max(ts_ns) filter (kind = 2) - min(ts_ns) as syscall, max(ret) filter (kind = 1) as flags,
  sum(case kind when 5 then ts_ns::hugeint when 4 then -ts_ns::hugeint else 0 end) as rcu
from numbered group by tid, op
"""


def with_arrays(batches: Iterable[EventBatch]) -> int:
    correlator = UmountCorrelator(clock_offset_ns=0, tier="bench")
    rows = sum(len(correlator.feed(batch)) for batch in batches)
    return rows + len(correlator.finish())


def one_by_one(batches: Iterable[EventBatch]) -> int:
    return sum(1 for _row in plain_rows(batches))


def one_by_one_to_arrow(batches: Iterable[EventBatch]) -> int:
    """The whole job of the array code: what is written to a recording is Arrow."""
    import pyarrow as pa

    rows, count = plain_rows(batches), 0
    while some := list(islice(rows, 10_000)):
        count += pa.RecordBatch.from_pylist(some, schema=SCHEMA).num_rows
    return count


def with_duckdb(batches: Iterable[EventBatch]) -> int:
    import duckdb
    import pyarrow as pa

    columns = ("ts_ns", "tid", "kind", "ret")
    events = pa.concat_tables(
        pa.table({name: batch.events[name].copy() for name in columns}) for batch in batches
    )
    connection = duckdb.connect(config={"threads": 1})
    connection.register("events", events)
    return len(connection.sql(_QUERY).to_arrow_table())


WAYS: dict[str, Callable[[Iterable[EventBatch]], int]] = {
    "umtrace": with_arrays,
    "state machine, dicts": one_by_one,
    "state machine, Arrow": one_by_one_to_arrow,
    "DuckDB": with_duckdb,
}


STREAMING = {"umtrace"}


def _measure(way: str, tier: str, events: int, answer: Any) -> None:
    made = 0.0  # generating is not counted

    def batches() -> Iterable[EventBatch]:
        nonlocal made
        began = time.process_time()
        for batch in stream(tier, events):
            made += time.process_time() - began
            yield batch
            began = time.process_time()

    WAYS[way](stream(tier, 100_000))  # imports, and the first memory
    before = reset_peak()
    began = time.process_time()
    rows = WAYS[way](batches())
    seconds = time.process_time() - began - made
    peak = peak_kib()
    answer.put({
        "way": way, "tier": tier, "events": events, "rows": rows, "cpu_s": seconds,
        "events_per_cpu_s": events / seconds, "peak_mib": peak / 1024,
        "grown_mib": (peak - before) / 1024,
    })  # fmt: skip


def measure(way: str, tier: str, events: int, limit_s: float = 180) -> dict[str, Any]:
    """Run one way in a process of its own; CPU seconds, so that a busy host matters little."""
    asked = {"way": way, "tier": tier, "events": events}
    return asked | in_child(_measure, (way, tier, events), limit_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    given = parser.parse_args()
    for tier in ("tracepoint", "fentry"):
        for events in given.events:
            for way in given.ways:
                print(json.dumps(measure(way, tier, events)), flush=True)


if __name__ == "__main__":
    main()
