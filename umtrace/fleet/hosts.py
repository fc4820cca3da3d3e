"""One row per host: what it has, and where its latency is among the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.fleet import cells
from umtrace.fleet.about import About
from umtrace.fleet.merged import histogram_of
from umtrace.fleet.verdicts import Seen

_HOUR_NS = 3_600_000_000_000
_FIELDS = {
    "host": pa.string(), "kernels": pa.string(), "tiers": pa.string(), "versions": pa.string(),
    "bounds": pa.string(), "boots": pa.int64(), "files": pa.int64(), "umounts": pa.int64(),
    "failed": pa.int64(), "incomplete": pa.int64(), "lost": pa.int64(), "begin_ns": pa.int64(),
    "last_ns": pa.int64(), "bound": pa.string(), "n": pa.int64(), "p50_ns": pa.int64(),
    "p99_ns": pa.int64(), "max_ns": pa.int64(),
}  # fmt: skip
SCHEMA: pa.Schema = pa.schema(list(_FIELDS.items()))

#: an outlier has so many times the value of the median host, and is this far out in their spread
_LEAST_TIMES = 2.0
_LEAST_SPREADS = 5.0
_NORMAL = 1.4826  # of a median absolute deviation to a standard deviation
_LEAST_SPREAD = 0.05
_LEAST_UMOUNTS = 100
_LEAST_HOSTS = 8
_JOIN = "\n"  # in no name of a kernel that prints


def no_hosts() -> pa.Table:
    """Return the table of no host."""
    return SCHEMA.empty_table()


def host_row(host: str, whole: pa.Table, abouts: Sequence[About], files: int) -> pa.Table:
    """Return the row of one host.

    Its quantiles are those of the latency bound that most of its umounts have.
    """
    codes = {name: _codes(whole, name) for name in ("errno", "complete")}
    bound, n = _usual_bound(whole)
    latency = histogram_of(whole.filter(_equal(whole["latency_bound"], bound)), "latency_ns")
    seen = latency.without_zeros()
    lost = [about.losses.lost() for about in abouts]
    row = {
        "host": host,
        "kernels": _joined(whole["kernel"].unique().to_pylist() or [a.kernel for a in abouts]),
        "tiers": _joined(about.tier for about in abouts),
        "versions": _joined(about.format for about in abouts),
        "bounds": _joined(whole["latency_bound"].unique().to_pylist()),
        "boots": len({about.boot_id for about in abouts}),
        "files": files,
        "umounts": sum(codes["complete"].values()),
        "failed": sum(count for code, count in codes["errno"].items() if code > 0),
        "incomplete": codes["complete"].get(0, 0),
        "lost": sum(sum(v for k, v in each.items() if k != "incomplete_rows") for each in lost),
        "begin_ns": min(max(about.start_ns, about.hour_ns) for about in abouts),
        "last_ns": max(_last(about) for about in abouts),
        "bound": bound,
        "n": n,
        "p50_ns": seen.quantile(0.5),
        "p99_ns": seen.quantile(0.99),
        "max_ns": seen.max,
    }
    return pa.Table.from_pylist([row], schema=SCHEMA)


def seen_of(hosts: pa.Table) -> list[Seen]:
    """Return what coverage is judged by."""
    return [
        Seen(row["host"], row["last_ns"], _split(row["tiers"]), _split(row["bounds"]),
             _split(row["versions"]))
        for row in hosts.to_pylist()
    ]  # fmt: skip


def kernels_of(hosts: pa.Table) -> dict[str, int]:
    """Return how many hosts ran each kernel, the most frequent first."""
    counts: dict[str, int] = {}
    for text in hosts["kernels"].to_pylist():
        for kernel in _split(text):
            counts[kernel] = counts.get(kernel, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def outliers(hosts: pa.Table) -> list[dict[str, Any]]:
    """Return the hosts with a median or p99 far above that of others, the worst first.

    The others are those of the same kernel and latency bound. Each is a row of `SCHEMA`, with
    ``times``, how many times the value of the median host it has, and ``what``, p50 or p99.
    """
    rows = [row for row in hosts.to_pylist() if row["p99_ns"] and row["n"] >= _LEAST_UMOUNTS]
    found: dict[str, dict[str, Any]] = {}
    for like in {(row["bound"], row["kernels"]) for row in rows}:
        mine = [row for row in rows if (row["bound"], row["kernels"]) == like]
        for what in ("p99", "p50") if len(mine) >= _LEAST_HOSTS else ():
            for row, times in _far(mine, f"{what}_ns"):
                if times > found.get(row["host"], {"times": 0.0})["times"]:
                    found[row["host"]] = {**row, "times": times, "what": what}
    return sorted(found.values(), key=lambda row: (-row["times"], row["host"]))


def _far(rows: Sequence[dict[str, Any]], name: str) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield the hosts far above the median host, and how many times its value they have."""
    logs = np.log([row[name] for row in rows])
    middle = float(np.median(logs))
    spread = max(_NORMAL * float(np.median(np.abs(logs - middle))), _LEAST_SPREAD)
    for row, log in zip(rows, logs.tolist(), strict=True):
        times = float(np.exp(log - middle))
        if times >= _LEAST_TIMES and log - middle >= _LEAST_SPREADS * spread:
            yield row, times


def _usual_bound(whole: pa.Table) -> tuple[str | None, int]:
    latency = whole.filter(
        pc.and_(pc.equal(whole["measure"], "latency_ns"), pc.is_null(whole["bucket"]))
    )
    counts: dict[str | None, int] = {}
    pairs = zip(latency["latency_bound"].to_pylist(), latency["count"].to_pylist(), strict=True)
    for bound, count in pairs:
        counts[bound] = counts.get(bound, 0) + count
    return min(counts.items(), key=lambda item: (-item[1], str(item[0])), default=(None, 0))


def _codes(whole: pa.Table, measure: str) -> dict[int, int]:
    found = cells.add_up([whole.filter(pc.equal(whole["measure"], measure))], ())
    return dict(zip(found["bucket"].to_pylist(), found["count"].to_pylist(), strict=True))


def _equal(column: pa.ChunkedArray, value: str | None) -> pa.ChunkedArray:
    return pc.is_null(column) if value is None else pc.equal(column, value)


def _last(about: About) -> int:
    """Return the end of an hour, or of the recording where that was earlier."""
    end = about.hour_ns + _HOUR_NS
    return end if about.end_ns is None else max(min(end, about.end_ns), about.start_ns)


def _joined(values: object) -> str:
    return _JOIN.join(sorted({str(value) for value in values if value}))  # type: ignore[attr-defined]


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(_JOIN)))
