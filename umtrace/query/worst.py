"""The longest umounts of a recording, without sorting it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.model.arrow import fixed
from umtrace.model.umounts import SCHEMA
from umtrace.query.selection import Selection
from umtrace.stats.columns import START, durations, plain_rows, times
from umtrace.stats.summarize import LATENCY

_MOST_READS = 64  # with more spans, one read from the first to the last costs less


def worst(selection: Selection, n: int = 20) -> list[dict[str, Any]]:
    """Return the n rows of largest known latency, the largest first, times in ns.

    Reads three columns of all rows, and then all columns of the rows that began at these times.
    """
    found = heapq.nlargest(n, _candidates(selection, n))
    if not found:
        return []
    wanted = fixed(np.array([-number for _, number, _ in found]), SCHEMA.field("id").type)
    rows = [
        row
        for span in _spans(sorted({start for _, _, start in found}))
        for batch in selection.within(span).batches(SCHEMA.names)
        for row in _these(batch, wanted)
    ]
    return sorted(rows, key=lambda row: (-row[LATENCY], row["id"]))


def _spans(starts: list[int]) -> list[tuple[int | None, int | None]]:
    if 0 in starts:  # an unknown begin is in no span
        return [(None, None)]
    if len(starts) > _MOST_READS:
        return [(starts[0], starts[-1] + 1)]
    return [(start, start + 1) for start in starts]


def _candidates(selection: Selection, n: int) -> Iterator[tuple[int, int, int]]:
    """Yield (latency, -id, start) of the longest rows of each batch, a smaller id first."""
    for batch in selection.batches(("id", LATENCY, START)):
        latency = durations(batch, LATENCY)
        order = np.argsort(-latency, kind="stable")[:n]
        order = order[latency[order] > 0]
        ids = -durations(batch, "id")[order]
        yield from zip(
            latency[order].tolist(), ids.tolist(), times(batch)[order].tolist(), strict=True
        )


def _these(batch: pa.RecordBatch, ids: pa.Array) -> Iterator[dict[str, Any]]:
    at = batch.schema.get_field_index("id")
    return plain_rows([batch.filter(pc.is_in(batch.column(at), value_set=ids))])
