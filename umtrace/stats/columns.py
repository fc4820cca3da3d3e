"""Columns of umount rows as arrays."""

from __future__ import annotations

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
