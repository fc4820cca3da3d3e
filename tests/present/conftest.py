from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.stats.rows import T0_NS, batch_of
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.present.heading import Heading
from umtrace.recording import Meta, RecordingWriter

GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture
def golden():
    """Compare a text with a file of goldens/; UMTRACE_UPDATE_GOLDENS=1 writes it instead."""

    def check(name, text):
        path = GOLDENS / name
        if os.environ.get("UMTRACE_UPDATE_GOLDENS"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture
def no_losses():
    return LossReport(
        ring_events=0,
        ring_names=0,
        task_map_full=0,
        stacks_lost=0,
        probe_misses=0,
        unmatched_events=0,
    )


@pytest.fixture
def heading(no_losses):
    return Heading(
        source="rec.umt",
        kernel="6.12.9-amd64 #1 SMP PREEMPT_DYNAMIC x86_64",
        tier="fentry",
        host="node-7",
        start=datetime(2026, 1, 1, tzinfo=timezone.utc),
        duration_ns=10_250_000_000,
        losses=no_losses,
    )


def _end(meta):
    """Say of a recording that it took ten minutes, not the time from its first row to today."""
    said = json.loads(meta.read_text())
    meta.write_text(json.dumps(said | {"end_ns": T0_NS + 600_000_000_000}))


@pytest.fixture
def recording(tmp_path, no_losses):
    """Write rows as a recording and return its path."""

    def write(rows, name="rec.umt", filters=None):
        clock = ClockPair(5, T0_NS)
        meta = Meta(
            tier="fentry",
            clock=clock,
            host="node-7",
            kernel="6.12.9-amd64",
            start_ns=T0_NS,
            filters=filters or {},
            losses=no_losses,
        )
        writer = RecordingWriter(tmp_path / name, meta)
        writer.write(EventBatch(), batch_of(rows))
        writer.close()
        _end(tmp_path / name / "meta.json")
        return tmp_path / name

    return write
