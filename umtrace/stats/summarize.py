"""One pass over row batches to a `Summary`, column by column."""

from __future__ import annotations

import errno as errno_names
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import integers, mask
from umtrace.model.umounts import PHASES, WORDS
from umtrace.stats.buckets import Int64
from umtrace.stats.grouped import GroupedHistogram
from umtrace.stats.groups import GroupNumbers, Key, check_keys, encode
from umtrace.stats.summary import GroupSummary, MetricSummary, Summary, most_frequent_first
from umtrace.stats.totals import GroupSums, Halves, grown, halves

LATENCY = "latency_ns"
RCU = "rcu_ns"
#: duration columns a summary can be made of
METRICS = tuple(WORDS)
#: what a report needs
DEFAULT_METRICS = (LATENCY, *PHASES)
_ALWAYS = ("errno", "complete", "latency_bound", LATENCY)

Mask = npt.NDArray[np.bool_]


def columns_for(by: Sequence[str], metrics: Sequence[str] = DEFAULT_METRICS) -> list[str]:
    """Return the row columns that such a summary reads."""
    return list(dict.fromkeys((*_ALWAYS, *by, *metrics)))


def summarize(
    batches: Iterable[pa.RecordBatch],
    *,
    by: Sequence[str] = ("mode",),
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Summary:
    """Summarise row batches in one pass; memory grows with the groups, not the rows.

    Parameters
    ----------
    batches : iterable of RecordBatch
        With at least the columns of `columns_for`.
    by : sequence of str
        Key columns, from `groups.KEYS`; none makes one group of all rows.
    metrics : sequence of str
        Duration columns, from `METRICS`.

    Raises
    ------
    UsageError
        A key is not one that rows can be grouped by.
    """
    builder = SummaryBuilder(by=by, metrics=metrics)
    for batch in batches:
        builder.add(batch)
    return builder.result()


class SummaryBuilder:
    """The state of `summarize` between batches, for live views."""

    def __init__(
        self, *, by: Sequence[str] = ("mode",), metrics: Sequence[str] = DEFAULT_METRICS
    ) -> None:
        self._by = check_keys(by)
        self._groups = GroupNumbers(self._by)
        self._times, self._failed_times = _Times(metrics), _Times(metrics)
        self._count, self._incomplete, self._upper = _Tally(), _Tally(), _Tally()
        self._errnos: dict[int | None, _Tally] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take one batch of rows into account."""
        if not batch.num_rows:
            return
        groups = self._groups.of(batch)
        rows = _Rows(groups, len(self._groups))
        self._count.add(rows.counts())
        self._incomplete.add(rows.counts(~mask(batch.column("complete"))))
        self._upper.add(rows.counts(_is(batch.column("latency_bound"), "upper")))
        failed = self._add_errnos(rows, batch.column("errno"))
        if not failed.any():
            self._times.add(rows, batch)
            return
        for times, chosen in ((self._times, ~failed), (self._failed_times, failed)):
            times.add(rows.where(chosen), times.columns_of(batch).filter(pa.array(chosen)))

    def _add_errnos(self, rows: _Rows, column: pa.Array) -> Mask:
        """Count the outcomes; return which rows failed. Null is not known to have failed."""
        if column.null_count:
            self._errnos.setdefault(None, _Tally()).add(rows.counts(mask(column.is_null())))
        numbers = integers(column)
        failed: Mask = numbers != 0
        for number in np.unique(numbers[failed]).tolist():
            self._errnos.setdefault(number, _Tally()).add(rows.counts(numbers == number))
        return failed

    def result(self) -> Summary:
        """Return the summary of all batches so far."""
        groups = [self._group(number, key) for number, key in enumerate(self._groups.keys)]
        groups.sort(key=lambda group: (-group.count, [_sortable(part) for part in group.key]))
        return Summary(by=self._by, groups=tuple(groups))

    def _group(self, number: int, key: Key) -> GroupSummary:
        failed = {
            errno_name(value): tally[number]
            for value, tally in self._errnos.items()
            if value is not None and tally[number]
        }
        unknown = self._errnos.get(None)
        return GroupSummary(
            key=key,
            count=self._count[number],
            n_incomplete=self._incomplete[number],
            n_upper=self._upper[number],
            n_outcome_unknown=unknown[number] if unknown else 0,
            errnos=most_frequent_first(failed),
            metrics=self._times.group(number),
            failed_metrics=self._failed_times.group(number),
        )


def errno_name(number: int) -> str:
    """Return the name of an errno, or its number where it has none."""
    return errno_names.errorcode.get(number, str(number))


class _Tally:
    """A count for each group."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)

    def add(self, counts: Int64) -> None:
        self._counts = grown(self._counts, counts.size, 0)
        self._counts += counts

    def __getitem__(self, group: int) -> int:
        return int(self._counts[group]) if group < self._counts.size else 0


class _Rows:
    """The groups of some rows of a batch, and what is counted by them; counted once."""

    def __init__(self, groups: Int64, n_groups: int) -> None:
        self.groups, self.n_groups = groups, n_groups
        self._counts: Int64 | None = None

    def where(self, chosen: Mask | None) -> _Rows:
        """Return the chosen rows; None is all."""
        return self if chosen is None else _Rows(self.groups[chosen], self.n_groups)

    def counts(self, chosen: Mask | None = None) -> Int64:
        """Return how many of the chosen rows each group has, shape (n_groups,)."""
        if chosen is not None:
            return np.bincount(self.groups[chosen], minlength=self.n_groups)
        if self._counts is None:
            self._counts = np.bincount(self.groups, minlength=self.n_groups)
        return self._counts

    def sums(self, values: Int64) -> Halves:
        """Return the sums by group of a value for each row."""
        return halves(self.groups, values, self.n_groups)


class _Duration(NamedTuple):
    """A duration column: values (0 where null), usable, null. Shape (n,) each.

    ``usable`` is None where all are, ``null`` where none is.
    """

    values: Int64
    usable: Mask | None
    null: Mask | None

    @property
    def is_unknown(self) -> bool:
        return self.usable is not None and not self.usable.any()


class _Times:
    """The durations of the umounts that failed, or of the others."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._metrics = {name: _MetricState() for name in metrics}

    def columns_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the columns that are read."""
        return batch.select(list(dict.fromkeys((LATENCY, *self._metrics))))

    def add(self, rows: _Rows, batch: pa.RecordBatch) -> None:
        """Take the durations of a batch into account."""
        if not batch.num_rows:
            return
        latency = _duration(batch.column(LATENCY))
        latencies = rows.sums(latency.values) if latency.usable is None else None
        for name, state in self._metrics.items():
            column = latency if name == LATENCY else _duration(batch.column(name))
            state.add(rows, column, latency, latencies)

    def group(self, number: int) -> dict[str, MetricSummary]:
        """Return the summaries of one group."""
        return {name: state.group(number) for name, state in self._metrics.items()}


class _MetricState:
    """The state behind the `MetricSummary` of every group."""

    def __init__(self) -> None:
        self._histogram = GroupedHistogram()
        self._null, self._negative, self._shared = _Tally(), _Tally(), _Tally()
        self._own_sum, self._latency_sum = GroupSums(), GroupSums()

    def add(
        self, rows: _Rows, own: _Duration, latency: _Duration, latencies: Halves | None
    ) -> None:
        """Take a batch into account; ``latencies`` are the sums of all its latencies, if known."""
        if own.null is not None:
            self._null.add(rows.counts(own.null))
        if own.usable is not None:
            self._negative.add(rows.counts(own.values < 0))
        if own.is_unknown:
            return
        known, values = rows.where(own.usable), _picked(own.values, own.usable)
        sums = known.sums(values) if own is not latency or latencies is None else latencies
        self._histogram.add(known.groups, values, rows.n_groups, sums)
        both = _and(own.usable, latency.usable)
        if both is not own.usable:
            known = rows.where(both)
            sums = known.sums(_picked(own.values, both))
        if both is not None or latencies is None:
            latencies = known.sums(_picked(latency.values, both))
        self._shared.add(known.counts())
        self._own_sum.add_halves(sums)
        self._latency_sum.add_halves(latencies)

    def group(self, number: int) -> MetricSummary:
        return MetricSummary(
            histogram=self._histogram.histogram(number),
            n_null=self._null[number],
            n_negative=self._negative[number],
            n_shared=self._shared[number],
            shared_ns=self._own_sum[number],
            shared_latency_ns=self._latency_sum[number],
        )


def _duration(column: pa.Array) -> _Duration:
    null, values = mask(column.is_null()) if column.null_count else None, integers(column)
    if null is None and int(values.min(initial=0)) >= 0:
        return _Duration(values, None, None)
    usable: Mask = values >= 0
    return _Duration(values, usable if null is None else usable & ~null, null)


def _picked(values: Int64, chosen: Mask | None) -> Int64:
    return values if chosen is None else values[chosen]


def _and(left: Mask | None, right: Mask | None) -> Mask | None:
    """Return where both are true; None is everywhere."""
    if left is None or right is None or left is right:
        return right if left is None else left
    return left & right


def _is(column: pa.Array, wanted: str) -> Mask:
    codes, values = encode(column)
    return np.array([value == wanted for value in values], np.bool_)[codes]


def _sortable(part: str | int | None) -> tuple[bool, int, str]:
    # None last; numbers before one another as numbers, texts as texts.
    return part is None, part if isinstance(part, int) else 0, str(part)
