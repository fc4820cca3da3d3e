"""What a simulation found as rows: one per design, and one per quantile of a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from umtrace.whatif.answers import QUANTILES, Answer, Quantile, WhatIf


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"doc": doc}) for name, kind, doc in columns])


#: one row per design
DESIGN_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D; the index"),
    ("title", pa.string(), "what it does"),
    ("waits", pa.int64(), "umounts that wait for a grace period in the call"),
    ("wait_ns", pa.int64(), "what all callers wait together, the call as a whole"),
    ("deferred", pa.int64(), "umounts that return before their mounts are put"),
    ("too_soon", pa.int64(), "of these without MNT_DETACH"),
    ("grace_periods", pa.int64(), "grace periods that are needed at least"),
    ("depth", pa.int64(), "the most umounts that have returned and are not shut down"),
    ("queued_ns", pa.int64(), "the longest time that a deferred shutdown waits for others"),
    (
        "mount_ns",
        pa.float64(),
        "mounts times the ns that they stay in memory after the unlock",
    ),
    ("why", pa.string(), "why something is unknown"),
)
#: one row per design, time, kind of umount and quantile
TIME_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D"),
    ("time", pa.string(), "caller: until the call is back; shut down: until the file system is"),
    ("umounts", pa.string(), "all, sync, lazy or teardown; of shut down, all alone"),
    ("quantile", pa.float64(), "0.5, 0.9, 0.99, and 1, which is the longest"),
    ("n", pa.int64(), "umounts that succeeded"),
    ("value_ns", pa.int64(), "the quantile"),
    ("low_ns", pa.int64(), "the 95 % interval from order statistics; missing if n is too small"),
    ("high_ns", pa.int64(), "likewise"),
    ("why", pa.string(), "why the quantile is unknown"),
)


def design_rows(found: WhatIf) -> pa.Table:
    """Return one row per design; columns of `DESIGN_COLUMNS`."""
    rows = [_design_row(each) for each in found.answers]
    return pa.Table.from_pylist(rows, schema=DESIGN_COLUMNS)


def time_rows(found: WhatIf) -> pa.Table:
    """Return one row per design, time, kind and quantile; columns of `TIME_COLUMNS`."""
    rows = [row for each in found.answers for row in _time_rows(each, found.succeeded)]
    return pa.Table.from_pylist(rows, schema=TIME_COLUMNS)


def _design_row(each: Answer) -> dict[str, object]:
    return {
        "design": each.design.name,
        "title": each.design.title,
        "waits": each.waits,
        "wait_ns": each.wait_ns,
        "deferred": each.deferred,
        "too_soon": each.promise,
        "grace_periods": each.grace_periods,
        "depth": each.depth,
        "queued_ns": each.queued_ns,
        "mount_ns": each.mount_ns,
        "why": "; ".join(each.why) or None,
    }


def _time_rows(each: Answer, counts: Mapping[str, int]) -> Iterator[dict[str, object]]:
    for kind, n in counts.items():
        yield from _quantile_rows(each, "caller", kind, n, each.caller.get(kind, ()))
    yield from _quantile_rows(each, "shut down", "all", counts["all"], each.gone)


def _quantile_rows(
    each: Answer, time: str, kind: str, n: int, found: tuple[Quantile, ...]
) -> Iterator[dict[str, object]]:
    by_q = {value.q: value for value in found}
    why = ("; ".join(each.why) or None) if n else "no such umount"
    for q in QUANTILES:
        value = by_q.get(q)
        yield {
            "design": each.design.name,
            "time": time,
            "umounts": kind,
            "quantile": q,
            "n": n,
            "value_ns": value and value.ns,
            "low_ns": value and value.low_ns,
            "high_ns": value and value.high_ns,
            "why": why if value is None else None,
        }
