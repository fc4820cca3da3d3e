"""Rows out of Arrow: columns as arrays, whole rows as Python values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import integers
from umtrace.stats.buckets import Int64

START = "t_start"


def times(batch: pa.RecordBatch) -> Int64:
    """Return when the rows began, ns of UTC, int64 of shape (batch.num_rows,)."""
    return integers(batch.column(START))


def durations(batch: pa.RecordBatch, column: str) -> Int64:
    """Return a duration column, 0 for null and for the impossible, of the same shape."""
    return np.maximum(integers(batch.column(column)), 0)


def plain_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yield every row as a mapping; a time is ns since the epoch.

    Arrow alone would make pandas Timestamps of times.
    """
    for batch in batches:
        columns = [_plain(column) for column in batch.columns]
        yield from pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
