from __future__ import annotations

import json

import numpy as np
import pytest

from tests.builders import Stream
from tests.stats.rows import T0_NS, batch_of, container_host
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.recording import Meta, RecordingWriter

NO_LOSS = LossReport(
    ring_events=0, ring_names=0, task_map_full=0, stacks_lost=0, probe_misses=0, unmatched_events=0
)
PLAN = (PlanLine(meaning="<b>operation</b>", probe="sys_enter_umount", how="tp"),)


def write_recording(path, rows, events=None, windows=None, **meta):
    given = {
        "tier": "fentry",
        "clock": ClockPair(1_000_000_000, T0_NS),
        "start_ns": T0_NS,
        "kernel": "6.12.9-amd64",
        "losses": NO_LOSS,
        "plan": PLAN,
    }
    with RecordingWriter(path, Meta(**given | meta)) as writer:
        writer.write(events or EventBatch(), batch_of(rows))
        if windows is not None:
            writer.append("ebusy", windows)
    return path


@pytest.fixture
def write(tmp_path):
    """Write rows, and maybe events and EBUSY windows, as a recording; return its path."""

    def write(rows, name="rec.umt", **more):
        return write_recording(tmp_path / name, rows, **more)

    return write


@pytest.fixture
def path(write):
    stream = Stream().umount(7, 1_000_000_500).umount(8, 1_000_009_000, ret=-16)
    return write(container_host(200), events=stream.batch())


@pytest.fixture
def evil_rows():
    """Rows whose texts are markup, control characters and worse."""
    text = "<script>alert(1)</script>\x1b[31m\"'&"
    rows = container_host(5)
    return [row | {"path": text, "comm": "<img src=x>", "container": "</table>"} for row in rows]


def evidence(*lines):
    return json.dumps(lines)


def utc(ns):
    return np.datetime64(ns, "ns")
