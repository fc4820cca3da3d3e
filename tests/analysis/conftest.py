from __future__ import annotations

import pytest

from tests.stats.rows import T0_NS, batch_of
from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.model.windows import windows_to_arrow
from umtrace.query.selection import Selection
from umtrace.recording import Meta, Recording, RecordingWriter


@pytest.fixture
def select(tmp_path):
    """Write rows as a recording and select them all."""

    def write(rows, name="rec.umt", windows=()):
        meta = Meta(tier="fentry", clock=ClockPair(5, T0_NS), start_ns=T0_NS)
        with RecordingWriter(tmp_path / name, meta, force=True) as writer:
            writer.write(EventBatch(), batch_of(rows))
            if windows:
                writer.append("ebusy", windows_to_arrow(windows))
        return Selection(Recording.open(tmp_path / name))

    return write
