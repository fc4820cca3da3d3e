"""Umount rows and EBUSY windows to cells, hour by hour, with the builder that reports use."""

from __future__ import annotations

import errno as errno_names
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.fleet import cells
from umtrace.model import windows
from umtrace.model.arrow import fixed, integers, mask
from umtrace.model.kinds import ORIGINS
from umtrace.model.tiers import names as tier_names
from umtrace.stats.buckets import bucket_of
from umtrace.stats.filters import MODES
from umtrace.stats.groups import GroupNumbers, Key, encode
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import METRICS, SummaryBuilder, columns_for
from umtrace.stats.summary import GroupSummary, MetricSummary

HOUR_NS = 3_600_000_000_000
#: owners of an hour that are counted each; the rest is one
MOST_OWNERS = 50
#: column of rows: victims to which somebody else had a reference before the grace period
HELD = "n_held"

_BY = ("tier", "latency_bound", "mode", "origin", "container")
_KNOWN = {
    "tier": {*tier_names(), "import", "synthetic"},
    "latency_bound": {"exact", "upper", "approx"},
    "mode": {*MODES, "-"},
    "origin": set(ORIGINS),
}
_OWNER_LENGTH = 128
_WINDOWS = ("class", "spurious", "begin", "duration_ns", "container", "tier")


def row_columns(known: Iterable[str]) -> list[str]:
    """Return the row columns to count, of those that there are."""
    wanted = dict.fromkeys(("t_start", *columns_for(_BY, METRICS), HELD))
    return [name for name in wanted if name in set(known)]


class HourlyCounts:
    """Counts rows by the hour of UTC in which each began.

    Parameters
    ----------
    kernel : str
        Key of all cells.
    otherwise_ns : int
        Time for rows of which the begin is unknown, ns since the epoch.
    """

    def __init__(self, kernel: str, otherwise_ns: int) -> None:
        self._kernel, self._otherwise_ns = kernel, otherwise_ns
        self._hours: dict[int, _Hour] = {}

    def add(self, rows: pa.RecordBatch, first: int = 0) -> set[int]:
        """Count rows, which have no mount-internal ones; return the hours that changed.

        What began before the hour ``first``, ns, counts in it.
        """
        return self._each(rows, "t_start", lambda hour, part: hour.add(part), first)

    def add_windows(self, rows: pa.RecordBatch, first: int = 0) -> set[int]:
        """Count EBUSY windows, as `add`."""
        return self._each(rows, "begin", lambda hour, part: hour.add_windows(part), first)

    def _each(self, rows: pa.RecordBatch, column: str, add: Any, first: int) -> set[int]:
        times = integers(rows.column(column), self._otherwise_ns) // HOUR_NS * HOUR_NS
        times = np.maximum(times, first)
        found = set(np.unique(times).tolist())
        for start in found:
            hour = self._hours.setdefault(start, _Hour(self._kernel))
            add(hour, rows if len(found) == 1 else rows.filter(fixed(times == start, pa.bool_())))
        return found

    def begin(self, time_ns: int) -> None:
        """Have the hour of a time, also without any row."""
        self._hours.setdefault(time_ns // HOUR_NS * HOUR_NS, _Hour(self._kernel))

    @property
    def hours(self) -> list[int]:
        """Begins of the hours, ns since the epoch."""
        return sorted(self._hours)

    def cells(self, hour: int) -> tuple[pa.Table, int]:
        """Return the cells of an hour, and how many owners are in `cells.OTHER`."""
        return self._hours[hour].cells()

    def rows(self, hour: int) -> int:
        """Return how many rows began in an hour."""
        return self._hours[hour].rows

    def forget(self, hour: int) -> None:
        """Drop an hour."""
        self._hours.pop(hour, None)


class _Hour:
    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self._builder = SummaryBuilder(by=_BY, metrics=METRICS)
        self._held = _Held()
        self._windows: Counter[tuple[str | None, str | None, str, int]] = Counter()
        self._lasted: dict[tuple[str | None, str | None, str], _Lasted] = {}
        self.rows = 0

    def add(self, rows: pa.RecordBatch) -> None:
        self.rows += rows.num_rows
        self._builder.add(rows)
        self._held.add(rows)

    def add_windows(self, rows: pa.RecordBatch) -> None:
        plain = (rows.column(rows.schema.get_field_index(name)).to_pylist() for name in
                 ("tier", "container", "class", "spurious", "duration_ns"))  # fmt: skip
        for tier, container, klass, spurious, lasted in zip(*plain, strict=True):
            key = (tier, container, klass if klass in windows.CLASSES else "unknown")
            judged = (*key, cells.UNKNOWN if spurious is None else int(spurious))
            self._windows[judged] += 1
            self._lasted.setdefault(key, _Lasted()).add(lasted)

    def cells(self) -> tuple[pa.Table, int]:
        made = _Made(self._kernel)
        for group in self._builder.result().groups:
            _add_group(made, group, self._held.of(group.key))
        for (tier, owner, klass, verdict), count in self._windows.items():
            made.codes((tier, None, None, None, owner), f"ebusy.{klass}", {verdict: count})
        for (tier, owner, klass), lasted in self._lasted.items():
            made.durations((tier, None, None, None, owner), f"ebusy_ns.{klass}", lasted.metric())
        return _bounded(made.table())


class _Lasted:
    """Durations of EBUSY windows."""

    def __init__(self) -> None:
        self._known: list[int] = []
        self._unknown = 0

    def add(self, lasted: int | None) -> None:
        if lasted is None:
            self._unknown += 1
        else:
            self._known.append(lasted)

    def metric(self) -> MetricSummary:
        return MetricSummary(histogram=Histogram.of(self._known), n_null=self._unknown)


class _Held:
    """Rows by whether anybody held the mount: no, yes, unknown; all unknown without the column."""

    def __init__(self) -> None:
        self._groups = GroupNumbers(_BY)
        self._counts: dict[tuple[int, int], int] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        at = rows.schema.get_field_index(HELD)
        if at < 0 or not rows.num_rows:
            return
        # After a failure nothing is taken down, so nobody could have held it.
        rows = rows.filter(pc.fill_null(pc.equal(rows.column("errno"), 0), fill_value=True))
        groups, column = self._groups.of(rows), rows.column(at)
        codes = np.where(mask(column.is_null()), cells.UNKNOWN, integers(column) > 0)
        pairs, counts = np.unique(np.stack([groups, codes]), axis=1, return_counts=True)
        for group, code, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
            self._counts[group, code] = self._counts.get((group, code), 0) + count

    def of(self, key: Key) -> dict[int, int]:
        keys = self._groups.keys
        if key not in keys:
            return {}
        number = keys.index(key)
        return {code: count for (group, code), count in self._counts.items() if group == number}


def _add_group(made: _Made, group: GroupSummary, held: Mapping[int, int]) -> None:
    failed = {errno_number(name): count for name, count in group.errnos.items()}
    known = group.count - group.n_failed - group.n_outcome_unknown
    made.codes(group.key, "errno", {0: known, cells.UNKNOWN: group.n_outcome_unknown, **failed})
    complete = group.count - group.n_incomplete
    made.codes(group.key, "complete", {0: group.n_incomplete, 1: complete})
    made.codes(group.key, HELD, held or {cells.UNKNOWN: group.count - group.n_failed})
    for name in METRICS:
        made.durations(group.key, name, group.metrics[name])
        if group.n_failed:
            made.durations(group.key, f"{name}{cells.FAILED}", group.failed_metrics[name])


def errno_number(name: str) -> int:
    """Return the number of an errno by its name, or of a number as text."""
    return int(getattr(errno_names, name, None) or name)


class _Made:
    """Collects the rows of a table of cells."""

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self._rows: list[dict[str, Any]] = []
        self._runs: list[tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []

    def codes(self, key: Key, measure: str, counts: Mapping[int, int]) -> None:
        for code, count in counts.items():
            if count:
                self._rows.append(self._row(key, measure, bucket=code, count=count))

    def durations(self, key: Key, measure: str, metric: MetricSummary) -> None:
        values = metric.histogram
        total = self._row(
            key, measure, count=values.count, unknown=metric.n_null + metric.n_negative,
            sum_ns=values.sum, min_ns=values.min, max_ns=values.max, shared=metric.n_shared,
            shared_ns=metric.shared_ns, shared_latency_ns=metric.shared_latency_ns,
        )  # fmt: skip
        lower, _, counts = values.buckets()
        self._runs.append((len(self._rows), bucket_of(lower), counts))
        self._rows.append(total)

    def _row(self, key: Key, measure: str, **values: Any) -> dict[str, Any]:
        tier, bound, mode, origin, owner = key
        texts = {"tier": tier, "latency_bound": bound, "mode": mode, "origin": origin}
        row = {name: _known(name, text) for name, text in texts.items()}
        owner = None if owner is None else str(owner)[:_OWNER_LENGTH]
        return {"kernel": self._kernel, **row, "owner": owner, "measure": measure, **values}

    def table(self) -> pa.Table:
        rows = cells.SCHEMA.empty_table()
        if not self._rows:
            return rows
        columns = [_column([row.get(f.name) for row in self._rows], f.type) for f in cells.SCHEMA]
        totals = pa.Table.from_arrays(columns, schema=cells.SCHEMA)
        return pa.concat_tables([totals, self._buckets(totals)])

    def _buckets(self, totals: pa.Table) -> pa.Table:
        """Return a row for each bucket in use, with the key of its totals."""
        sizes = [run[1].size for run in self._runs]
        at = fixed(np.repeat([run[0] for run in self._runs], sizes), pa.int64())
        found = totals.select([*cells.KEYS, "measure"]).take(at)
        given = {
            "bucket": fixed(np.concatenate([run[1] for run in self._runs]), pa.int32()),
            "count": fixed(np.concatenate([run[2] for run in self._runs]), pa.int64()),
        }
        columns = [
            found[f.name] if f.name in found.column_names
            else given.get(f.name, pa.nulls(len(at), f.type))
            for f in cells.SCHEMA
        ]  # fmt: skip
        return pa.Table.from_arrays(columns, schema=cells.SCHEMA)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == cells.SUM:
        from decimal import Decimal  # noqa: PLC0415 - once per file

        values = [None if value is None else Decimal(value) for value in values]
    return pa.array(values, kind)


def _known(name: str, text: Any) -> str | None:
    if text is None:
        return None
    return str(text) if text in _KNOWN[name] else cells.OTHER


def _bounded(table: pa.Table) -> tuple[pa.Table, int]:
    """Return the cells with the owners of most umounts, and the number of the others."""
    complete = table.filter(pc.equal(table["measure"], "complete"))
    owned = complete.group_by("owner", use_threads=False).aggregate([("count", "sum")])
    counts = zip(owned["owner"].to_pylist(), owned["count_sum"].to_pylist(), strict=True)
    ranked = sorted(((-n, owner) for owner, n in counts if owner is not None))
    kept = {owner for _, owner in ranked[:MOST_OWNERS]}
    codes, values = encode(table["owner"].combine_chunks())
    folded = [v for v in values if v is not None and v not in kept]
    if folded:
        names = pa.array([cells.OTHER if v in set(folded) else v for v in values], pa.string())
        at = table.column_names.index("owner")
        table = table.set_column(at, "owner", names.take(fixed(codes, pa.int64())))
    return cells.add_up([table]), len(folded)


def windows_columns() -> list[str]:
    """Return the columns of EBUSY windows that are counted."""
    return list(_WINDOWS)
