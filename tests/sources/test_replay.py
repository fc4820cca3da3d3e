from __future__ import annotations

import numpy as np

from tests.recording import samples
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.recording import Recording, RecordingWriter
from umtrace.recording.chunk_writer import Limits
from umtrace.sources.base import Source
from umtrace.sources.replay import ReplaySource


def drain(source):
    source.open()
    found = []
    while (batch := source.read(0.1)) is not None:
        found.append(batch)
    source.close()
    return found


def test_a_recording_replays(tmp_path):
    plan = (PlanLine(meaning="enter", probe="x", state="substitute", reason="y"),)
    with RecordingWriter(
        tmp_path / "r", samples.meta(plan=plan), limits=Limits(chunk_rows=30)
    ) as writer:
        for first in range(0, 100, 10):
            writer.write(samples.batch(first, 10))
        writer.update(losses=LossReport(ring_events=4))
    source: Source = ReplaySource(Recording.open(tmp_path / "r"))
    for _ in range(2):
        found = drain(source)
        assert (np.concatenate([b.events for b in found]) == samples.events(0, 100)).all()
        assert (np.concatenate([b.names for b in found]) == samples.names(0, 100)).all()
    assert source.tier == "synthetic"
    assert source.clock == samples.CLOCK
    assert source.plan() == list(plan)
    assert source.losses() == LossReport(ring_events=4)


def test_nothing_comes_before_open_or_after_close(tmp_path):
    source = ReplaySource(Recording.open(samples.write(tmp_path / "r")))
    assert source.read(0) is None
    source.open()
    source.close()
    source.close()
    assert source.read(0) is None
