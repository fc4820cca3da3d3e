"""The rows of a recording that pass a filter and begin in a span of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from umtrace.query.prefetch import prefetch
from umtrace.stats.columns import START, durations, times
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import check_keys
from umtrace.stats.matching import without_internal
from umtrace.stats.summarize import DEFAULT_METRICS, LATENCY, columns_for, summarize
from umtrace.stats.summary import Summary
from umtrace.stats.unseen import unknown_counts, unknown_sentences

if TYPE_CHECKING:
    from umtrace.recording import Recording


@dataclass(frozen=True, slots=True)
class Selection:
    """Reads umount rows batch by batch, never all at once.

    ``span`` is half-open, in ns of UTC since the epoch; None is no limit. Rows of origin
    ``mount-internal``, which no task unmounted, are included if ``internal`` is true or the filter
    has origins.
    """

    recording: Recording
    row_filter: RowFilter = field(default_factory=RowFilter)
    span: tuple[int | None, int | None] = (None, None)
    internal: bool = False
    _made: dict[tuple[tuple[str, ...], ...], Summary] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _unknown: list[list[str]] = field(default_factory=list, init=False, repr=False, compare=False)
    _extents: list[tuple[int, int, int]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @property
    def is_whole(self) -> bool:
        """Whether span and filter exclude no row of the recording."""
        as_recorded = self.row_filter.to_dict() == self.recording.meta.filters
        return self.span == (None, None) and (self.row_filter.is_empty or as_recorded)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows in the order in which they were written, with at least these columns."""
        whole = self.internal or self.row_filter.origin or self.recording.meta.filters.get("origin")
        also = self.row_filter.columns if whole else [*self.row_filter.columns, "origin"]
        names = list(dict.fromkeys((*columns, *also)))
        found = self.recording.batches("umounts", columns=names, span=self.span)
        rows = (self.row_filter.apply(batch) for batch in prefetch(found))
        return rows if whole else map(without_internal, rows)

    def placed(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose begin is known: a recording may start inside others."""
        for batch in self.batches(tuple(dict.fromkeys((START, *columns)))):
            begins = batch.column(START)
            if begins.null_count:
                batch = batch.filter(begins.is_valid())  # noqa: PLW2901 - the same batch with fewer rows
            yield batch

    def unplaced(self) -> int:
        """Return how many rows have no known begin; no plot over time can show them."""
        return sum(batch.column(START).null_count for batch in self.batches((START,)))

    def unknown(self) -> list[str]:
        """Return sentences on the rows that the filter left out because a column is unknown.

        Computed once; reads the filtered columns. UsageError if the column is unknown in every row,
        because the tier does not see it.
        """
        if self.row_filter.is_empty or self.is_whole:
            return []
        if not self._unknown:
            counts = unknown_counts(self.row_filter, self._unfiltered)
            self._unknown.append(unknown_sentences(counts, self.recording.meta.tier))
        return self._unknown[0]

    def _unfiltered(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return self.recording.batches("umounts", columns=columns, span=self.span)

    def within(self, span: tuple[int | None, int | None]) -> Selection:
        """Return the same selection with another span."""
        return replace(self, span=span)

    def summary(
        self, by: Sequence[str] = ("mode",), metrics: Sequence[str] = DEFAULT_METRICS
    ) -> Summary:
        """Return the summary of the rows, computed once; see `summarize`.

        A summary from an earlier call may have more metrics than these.
        """
        keys = check_keys(by)
        for (known_by, known), made in self._made.items():
            if known_by == keys and set(metrics) <= set(known):
                return made
        rows = self.batches(columns_for(keys, metrics))
        made = summarize(rows, by=by, metrics=metrics)
        self.keep(made, metrics)
        return made

    def keep(self, made: Summary, metrics: Sequence[str] = DEFAULT_METRICS) -> None:
        """Keep a summary of all the rows, of these metrics at least, for `summary` to return."""
        self._made[made.by, tuple(metrics)] = made

    def extent(self) -> tuple[int, int, int]:
        """Return (rows, begin of the first, end of the last), ns of UTC; zeros without rows.

        Counts only rows with a known begin. A row of unknown latency ends where it begins. Computed
        once.
        """
        if not self._extents:
            self._extents.append(self._extent())
        return self._extents[0]

    def _extent(self) -> tuple[int, int, int]:
        rows, begin, end = 0, np.iinfo(np.int64).max, 0
        for batch in self.placed((START, LATENCY)):
            if batch.num_rows:
                start = times(batch)
                rows += batch.num_rows
                begin = min(begin, int(start.min()))
                end = max(end, int((start + durations(batch, LATENCY)).max()))
        return (rows, begin, end) if rows else (0, 0, 0)
