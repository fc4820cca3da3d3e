"""Some rows of a recording: those that pass a filter and begin in a span of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from umtrace.stats.ahead import read_ahead
from umtrace.stats.buckets import Int64
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import check_keys
from umtrace.stats.summarize import DEFAULT_METRICS, LATENCY, columns_for, summarize
from umtrace.stats.summary import Summary

if TYPE_CHECKING:
    from umtrace.recording import Recording

START = "t_start"


@dataclass(frozen=True, slots=True)
class Selection:
    """Reads umount rows batch by batch, never all at once.

    ``span`` is half-open, in ns of UTC since the epoch; None is no limit.
    """

    recording: Recording
    row_filter: RowFilter = field(default_factory=RowFilter)
    span: tuple[int | None, int | None] = (None, None)
    _made: dict[tuple[tuple[str, ...], ...], Summary] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows in the order in which they were written, these columns and maybe more."""
        names = list(dict.fromkeys((*columns, *self.row_filter.columns)))
        found = self.recording.batches("umounts", columns=names, span=self.span)
        return (self.row_filter.apply(batch) for batch in read_ahead(found))

    def within(self, span: tuple[int | None, int | None]) -> Selection:
        """Return the same rows of another span."""
        return replace(self, span=span)

    def summary(
        self, by: Sequence[str] = ("mode",), metrics: Sequence[str] = DEFAULT_METRICS
    ) -> Summary:
        """Return the summary of the rows, made once; see `summarize`."""
        key = (tuple(by), tuple(metrics))
        if key not in self._made:
            columns = columns_for(check_keys(by), metrics)
            self._made[key] = summarize(self.batches(columns), by=by, metrics=metrics)
        return self._made[key]

    def extent(self) -> tuple[int, int, int]:
        """Return (rows, begin of the first, end of the last), ns of UTC; zeros without rows.

        A row of unknown latency ends where it begins.
        """
        rows, begin, end = 0, np.iinfo(np.int64).max, 0
        for batch in self.batches((START, LATENCY)):
            if batch.num_rows:
                start = times(batch)
                rows += batch.num_rows
                begin = min(begin, int(start.min()))
                end = max(end, int((start + durations(batch, LATENCY)).max()))
        return (rows, begin, end) if rows else (0, 0, 0)


def times(batch: pa.RecordBatch) -> Int64:
    """Return when the rows began, ns of UTC, int64 of shape (batch.num_rows,)."""
    column = batch.column(batch.schema.get_field_index(START)).cast(pa.int64())
    result: Int64 = column.to_numpy(zero_copy_only=False)
    return result


def durations(batch: pa.RecordBatch, column: str) -> Int64:
    """Return a duration column, 0 for null and for the impossible, of the same shape."""
    at = batch.schema.get_field_index(column)
    values: Int64 = batch.column(at).fill_null(0).to_numpy(zero_copy_only=False)
    return np.maximum(values, 0)
