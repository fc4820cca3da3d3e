"""A ring that is too small on purpose: what is lost is counted and no row is wrong."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.system.umtrace_command import COMMAND
from umtrace import pipeline
from umtrace.sources.bpf.source import BpfSource

PAGE = 4096


@pytest.mark.kernel
def test_a_full_ring_is_counted_by_cpu_and_rows_are_never_wrong():
    source = BpfSource(event_ring_bytes=4 * PAGE, name_ring_bytes=4 * PAGE)
    source.open()
    exercise = [*COMMAND, "exercise", "--tasks", "2", "--duration", "1", "--json"]
    process = subprocess.Popen(exercise, stdout=subprocess.PIPE)
    ledger = json.loads(process.communicate()[0])  # nobody reads the ring meanwhile
    try:
        end = time.monotonic() + 0.5
        ticks = list(pipeline.stream(source, stop=lambda: time.monotonic() > end))
    finally:
        source.close()
    losses = ticks[-1].losses
    assert losses.ring_events > 0
    assert sum(losses.ring_events_per_cpu) == losses.ring_events
    rows = [row for tick in ticks for row in tick.rows.to_pylist()]
    assert 0 < len(rows) < len(ledger["umounts"])
    clock = {(u["tid"], u["t_start_ns"] // 1_000_000): u["latency_ns"] for u in ledger["umounts"]}
    checked = 0
    for row in rows:
        key = (row["tid"], row["t_start"].value // 1_000_000) if row["t_start"] else None
        if row["complete"] and key in clock:
            assert row["latency_ns"] < 100 * clock[key], "never two operations taken for one"
            checked += 1
    assert checked
    assert losses.incomplete_rows == sum(not row["complete"] for row in rows)
