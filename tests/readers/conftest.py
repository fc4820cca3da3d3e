from __future__ import annotations

import pytest

from tests.stats.rows import T0_NS, batch_of
from umtrace.cli.main import run
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.recording import Meta, RecordingWriter


@pytest.fixture
def call(capsys):
    """Run one command line here; a traceback is an exception of the test."""

    def one(*args):
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return one


def written(path, rows, *, tier="fentry", close=True, **meta):
    """Write rows as a recording and return its path."""
    made = Meta(tier=tier, clock=ClockPair(5, T0_NS), start_ns=T0_NS, kernel="6.12.9", **meta)
    with RecordingWriter(path, made) as writer:
        if rows:
            writer.write(EventBatch(), batch_of(rows))
        if close:
            writer.close()
        else:
            writer.flush()
    return path
