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
from umtrace.stats.totals import GroupSums, grown

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
        self._metrics = {name: _MetricState() for name in metrics}
        self._count, self._incomplete, self._upper = _Tally(), _Tally(), _Tally()
        self._errnos: dict[int | None, _Tally] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take one batch of rows into account."""
        if not batch.num_rows:
            return
        groups = self._groups.of(batch)
        n_groups = len(self._groups)
        self._count.add(groups, n_groups)
        self._incomplete.add(groups[~_equal(batch.column("complete"), wanted=True)], n_groups)
        upper = _equal(batch.column("latency_bound"), wanted="upper")
        self._upper.add(groups[upper], n_groups)
        self._add_errnos(groups, batch.column("errno"), n_groups)
        latency = _duration(batch.column(LATENCY))
        for name, state in self._metrics.items():
            column = latency if name == LATENCY else _duration(batch.column(name))
            state.add(groups, column, latency, n_groups)

    def _add_errnos(self, groups: Int64, column: pa.Array, n_groups: int) -> None:
        codes, values = encode(column)
        for code, number in enumerate(values):
            if number != 0:
                tally = self._errnos.setdefault(number, _Tally())
                tally.add(groups[codes == code], n_groups)

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
            metrics={name: state.group(number) for name, state in self._metrics.items()},
        )


def errno_name(number: int) -> str:
    """Return the name of an errno, or its number where it has none."""
    return errno_names.errorcode.get(number, str(number))


class _Tally:
    """A count for each group."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)

    def add(self, groups: Int64, n_groups: int) -> None:
        self._counts = grown(self._counts, n_groups, 0)
        self._counts += np.bincount(groups, minlength=n_groups)

    def __getitem__(self, group: int) -> int:
        return int(self._counts[group]) if group < self._counts.size else 0


class _Duration(NamedTuple):
    """A duration column: values (0 where not usable), usable, null. Shape (n,) each."""

    values: Int64
    usable: Mask
    null: Mask


class _MetricState:
    """The state behind the `MetricSummary` of every group."""

    def __init__(self) -> None:
        self._histogram = GroupedHistogram()
        self._null, self._negative, self._shared = _Tally(), _Tally(), _Tally()
        self._own_sum, self._latency_sum = GroupSums(), GroupSums()

    def add(self, groups: Int64, own: _Duration, latency: _Duration, n_groups: int) -> None:
        self._null.add(groups[own.null], n_groups)
        self._negative.add(groups[~own.usable & ~own.null], n_groups)
        if not own.usable.any():
            return
        known, values = _picked(own.usable, groups, own.values)
        self._histogram.add(known, values, n_groups)
        both = own.usable & latency.usable
        shared, values, latencies = _picked(both, groups, own.values, latency.values)
        self._shared.add(shared, n_groups)
        self._own_sum.add(shared, values, n_groups)
        self._latency_sum.add(shared, latencies, n_groups)

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
    null, values = mask(column.is_null()), integers(column)
    return _Duration(values, ~null & (values >= 0), null)


def _picked(mask: Mask, *arrays: Int64) -> tuple[Int64, ...]:
    """Return the chosen places of each array; the arrays themselves where all are chosen."""
    return arrays if mask.all() else tuple(array[mask] for array in arrays)


def _equal(column: pa.Array, *, wanted: object) -> Mask:
    codes, values = encode(column)
    return np.array([value == wanted for value in values], np.bool_)[codes]


def _sortable(part: str | int | None) -> tuple[bool, int, str]:
    # None last; numbers before one another as numbers, texts as texts.
    return part is None, part if isinstance(part, int) else 0, str(part)
