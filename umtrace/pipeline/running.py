"""Where the umounts of a recording are that had not ended when it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import EventBatch
from umtrace.model.hangs import Hang
from umtrace.probes.on_demand import waits_always
from umtrace.recording import Recording
from umtrace.recording.columns import events_to_numpy
from umtrace.recording.tables import EVENTS

#: columns of the umount rows that `running_rows` needs
NEEDED = ("incomplete_why", "tid", "t_start", "pid", "comm", "path", "container")
_RUNNING = "running"


def running_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of umounts that had begun and not ended."""
    why = rows.column("incomplete_why").cast(pa.string())
    still = pc.and_(pc.equal(why, _RUNNING), rows.column("t_start").is_valid())
    return rows.select(NEEDED).filter(pc.fill_null(still, fill_value=False))


def hangs_at_the_end(recording: Recording, rows: Sequence[pa.RecordBatch]) -> list[Hang]:
    """Return how long these umounts had run by the end of the recording, and where they were.

    Parameters
    ----------
    rows : sequence of pyarrow.RecordBatch
        From `running_rows`. Only the events since the oldest of them are read.

    Returns
    -------
    list of Hang
        The longest first; an umount with damaged events is left out.
    """
    plain = [row for batch in rows for row in _plain(batch)]
    if not plain:
        return []
    offset = recording.meta.clock.offset_ns
    first = min(row["t_start"] for row in plain) - offset
    tids = np.array([row["tid"] for row in plain], np.uint32)
    meta = recording.meta
    correlator = UmountCorrelator(
        clock_offset_ns=offset, tier=meta.tier, waits_always=waits_always(meta.plan)
    )
    last = 0
    for batch in recording.batches(EVENTS.name, span=(first, None)):
        events = events_to_numpy(batch)
        last = max(last, int(events["ts_ns"].max()))
        correlator.feed(EventBatch(events[np.isin(events["tid"], tids)]))
    if recording.meta.clock_end is not None:
        last = max(last, recording.meta.clock_end.monotonic_ns)
    _, where = correlator.unfinished(last)
    by_begin = {(row["tid"], row["t_start"] - offset): row for row in plain}
    found = [
        Hang(
            row=by_begin[key],
            phase=one.phase,
            so_far_ns=last - one.begun_ns,
            phase_ns=last - one.since_ns,
        )
        for one in where
        if (key := (one.task & 0xFFFFFFFF, one.begun_ns)) in by_begin
    ]
    return sorted(found, key=lambda hang: -hang.so_far_ns)


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    index = batch.schema.get_field_index("t_start")
    times = batch.column(index).cast(pa.int64())
    rows: list[dict[str, Any]] = batch.set_column(index, "t_start", times).to_pylist()
    return rows
