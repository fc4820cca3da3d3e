"""Cells back to what reports are made of: histograms, groups and summaries."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.fleet import cells
from umtrace.model.arrow import integers
from umtrace.stats import sparse
from umtrace.stats.groups import Key
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import METRICS, errno_name
from umtrace.stats.summary import GroupSummary, MetricSummary, Summary, most_frequent_first
from umtrace.stats.totals import Totals


def histogram_of(table: pa.Table, measure: str) -> Histogram:
    """Return the histogram of all cells of one duration."""
    return metric_of(cells.add_up([table.filter(pc.equal(table["measure"], measure))], ()))


def summary_of(table: pa.Table, by: Sequence[str]) -> Summary:
    """Return cells as a summary, grouped by keys that they have, the largest group first."""
    whole = cells.add_up([table], by)
    places: dict[Key, list[int]] = {}
    for at, key in enumerate(zip(*(whole[name].to_pylist() for name in by), strict=True)):
        places.setdefault(key, []).append(at)
    if not by and whole.num_rows:
        places = {(): list(range(whole.num_rows))}
    groups = [_group(key, whole.take(pa.array(at))) for key, at in places.items()]
    groups = [group for group in groups if group.count]
    groups.sort(key=lambda group: (-group.count, [(part is None, str(part)) for part in group.key]))
    return Summary(by=tuple(by), groups=tuple(groups))


def codes_of(table: pa.Table, measure: str) -> dict[int, int]:
    """Return the counts by code of a measure that is no duration."""
    found = cells.add_up([table.filter(pc.equal(table["measure"], measure))], ())
    return dict(zip(found["bucket"].to_pylist(), found["count"].to_pylist(), strict=True))


def measures_of(table: pa.Table, prefix: str) -> list[str]:
    """Return the measures with this prefix, in order."""
    return sorted(name for name in table["measure"].unique().to_pylist() if name.startswith(prefix))


def _group(key: Key, mine: pa.Table) -> GroupSummary:
    errnos, complete = codes_of(mine, "errno"), codes_of(mine, "complete")
    bounds = set(mine["latency_bound"].to_pylist()) if "latency_bound" in mine.column_names else ()
    count = sum(complete.values())
    failed = {errno_name(code): n for code, n in errnos.items() if code > 0}
    return GroupSummary(
        key=key,
        count=count,
        n_incomplete=complete.get(0, 0),
        n_upper=count if "upper" in bounds else 0,
        n_outcome_unknown=errnos.get(cells.UNKNOWN, 0),
        errnos=most_frequent_first(failed),
        metrics={name: metric_summary(mine, name) for name in METRICS},
        failed_metrics={name: metric_summary(mine, f"{name}{cells.FAILED}") for name in METRICS},
    )


def metric_summary(mine: pa.Table, name: str) -> MetricSummary:
    """Return one duration of cells of one group."""
    found = cells.add_up([mine.filter(pc.equal(mine["measure"], name))], ())
    total = found.filter(pc.is_null(found["bucket"])).to_pylist()
    if not total:
        return MetricSummary()
    return MetricSummary(
        histogram=metric_of(found),
        n_null=total[0]["unknown"] or 0,
        n_shared=total[0]["shared"] or 0,
        shared_ns=int(total[0]["shared_ns"] or 0),
        shared_latency_ns=int(total[0]["shared_latency_ns"] or 0),
    )


def metric_of(found: pa.Table) -> Histogram:
    """Return the histogram of the cells of one measure, which are in order of bucket."""
    total = found.filter(pc.is_null(found["bucket"])).to_pylist()
    if not total or not total[0]["count"]:
        return Histogram()
    runs = found.filter(pc.is_valid(found["bucket"])).combine_chunks()
    keys, counts = (
        integers(pa.concat_arrays(runs[name].chunks) if runs.num_rows else pa.nulls(0, pa.int64()))
        for name in ("bucket", "count")
    )
    row = total[0]
    totals = Totals(
        count=row["count"], sum=int(row["sum_ns"]), min=row["min_ns"], max=row["max_ns"]
    )
    return Histogram(sparse.Counts(keys, counts), totals)
