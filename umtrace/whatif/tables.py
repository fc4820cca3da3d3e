"""What a simulation found as rows: one per design, and one per quantile of a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from umtrace.whatif.answers import QUANTILES, Answer, Quantile, WhatIf


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"doc": doc}) for name, kind, doc in columns])


_TIMES = (
    "caller: until the call is back; shut down: until the file system is; teardown sum: of all its "
    "calls; teardown busy: while any of them is in its call; teardown path: in calls on its "
    "critical path; device busy: from a claim that would get EBUSY until the device is free"
)
#: one row per design
DESIGN_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D; the index"),
    ("title", pa.string(), "what it does"),
    ("waits", pa.int64(), "umounts that wait for a grace period in the call"),
    ("wait_ns", pa.int64(), "what all callers wait together, the call as a whole"),
    ("deferred", pa.int64(), "umounts that return before their mounts are put"),
    ("too_soon", pa.int64(), "of these without MNT_DETACH"),
    ("grace_periods", pa.int64(), "grace periods that are needed at least"),
    ("saved", pa.int64(), "how many fewer than under A"),
    ("shared", pa.int64(), "umounts that share the grace period of another one"),
    ("depth", pa.int64(), "the most umounts that have returned and are not shut down"),
    ("at_once", pa.int64(), "the most deferred shutdowns that run at one time"),
    ("age_ns", pa.int64(), "the longest time from a return until the file system is shut down"),
    ("queued_ns", pa.int64(), "the longest time that a deferred shutdown waits for others"),
    ("held_up", pa.int64(), "how many deferred shutdowns wait for others"),
    ("longest_ns", pa.int64(), "how long the longest deferred shutdown takes by itself"),
    ("kept", pa.int64(), "the most mounts in memory after the unlock at one time"),
    ("in_row", pa.int64(), "the most grace periods on the critical path of a teardown"),
    ("met", pa.int64(), "umounts that a path walker met, and that would not wait"),
    ("claims", pa.int64(), "claims of devices that would have got EBUSY"),
    (
        "mount_ns",
        pa.float64(),
        "mounts times the ns that they stay in memory after the unlock",
    ),
    ("why", pa.string(), "why something is unknown"),
)
#: one row per design and number that has one value
NUMBER_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D"),
    ("number", pa.string(), "a column of ``designs``"),
    ("value", pa.float64(), "the number"),
    ("low", pa.float64(), "its 95 % interval, by a bootstrap; missing if it has none"),
    ("high", pa.float64(), "likewise"),
    ("why", pa.string(), "why the number is unknown"),
)
#: one row per design, and owner or file system whose umounts wait
WAITING_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D"),
    ("by", pa.string(), "owner or fstype"),
    ("name", pa.string(), "- is unknown; others are beyond the first eight"),
    ("waits", pa.int64(), "umounts that wait for a grace period in the call"),
)
#: one row per design, time, kind of umount and quantile
TIME_COLUMNS = _schema(
    ("design", pa.string(), "A, B, B2, C or D"),
    (
        "time",
        pa.string(),
        _TIMES,
    ),
    ("umounts", pa.string(), "all, sync, lazy or teardown; or owner, which are those of one"),
    ("owner", pa.string(), "of caller: the eight that waited longest as recorded"),
    ("quantile", pa.float64(), "0.5, 0.9, 0.99, and 1, which is the longest"),
    ("n", pa.int64(), "umounts that succeeded; or teardowns"),
    ("value_ns", pa.int64(), "the quantile"),
    ("low_ns", pa.int64(), "the 95 % interval from order statistics; missing if n is too small"),
    ("high_ns", pa.int64(), "likewise"),
    ("why", pa.string(), "why the quantile is unknown"),
)


def design_rows(found: WhatIf) -> pa.Table:
    """Return one row per design; columns of `DESIGN_COLUMNS`."""
    rows = [_design_row(each) for each in found.answers]
    return pa.Table.from_pylist(rows, schema=DESIGN_COLUMNS)


def number_rows(found: WhatIf) -> pa.Table:
    """Return one row per design and number; columns of `NUMBER_COLUMNS`."""
    rows = [row for each in found.answers for row in _number_rows(each)]
    return pa.Table.from_pylist(rows, schema=NUMBER_COLUMNS)


def waiting_rows(found: WhatIf) -> pa.Table:
    """Return whose umounts wait; columns of `WAITING_COLUMNS`."""
    rows = [
        {"design": each.design.name, "by": by, "name": name, "waits": waits}
        for each in found.answers
        for by, counts in each.waits_by.items()
        for name, waits in counts.items()
    ]
    return pa.Table.from_pylist(rows, schema=WAITING_COLUMNS)


def time_rows(found: WhatIf) -> pa.Table:
    """Return one row per design, time, kind and quantile; columns of `TIME_COLUMNS`."""
    rows = [row for each in found.answers for row in _time_rows(each, found)]
    return pa.Table.from_pylist(rows, schema=TIME_COLUMNS)


def _design_row(each: Answer) -> dict[str, object]:
    return {
        "design": each.design.name,
        "title": each.design.title,
        **{name: _value(each, name) for name in _NUMBERS},
        "why": "; ".join(each.why) or None,
    }


def _number_rows(each: Answer) -> Iterator[dict[str, object]]:
    for name in _NUMBERS:
        value = _value(each, name)
        low, high = each.intervals.get(name, (None, None))
        yield {
            "design": each.design.name,
            "number": name,
            "value": value,
            "low": low,
            "high": high,
            "why": _why(each, name) if value is None else None,
        }


def _value(each: Answer, name: str) -> int | None:
    value: int | None = getattr(each, _FIELDS.get(name, name))
    return None if each.waits is None else value


def _why(each: Answer, name: str) -> str:
    none_deferred = "nothing is put later"
    return each.unknown.get(name) or "; ".join(each.why) or none_deferred


def _time_rows(each: Answer, found: WhatIf) -> Iterator[dict[str, object]]:
    for kind, n in found.succeeded.items():
        yield from _quantile_rows(each, ("caller", kind, None), n, each.caller.get(kind, ()))
    for owner, quantiles in each.owners.items():
        yield from _quantile_rows(each, ("caller", "owner", owner), found.owners[owner], quantiles)
    yield from _quantile_rows(each, ("shut down", "all", None), found.succeeded["all"], each.gone)
    for time, quantiles in (
        ("teardown sum", each.teardown_sum),
        ("teardown busy", each.teardown_busy),
        ("teardown path", each.teardown_path),
    ):
        yield from _quantile_rows(each, (time, "all", None), found.teardowns, quantiles)
    yield from _quantile_rows(each, ("device busy", "all", None), each.claims or 0, each.busy)


def _quantile_rows(
    each: Answer, what: tuple[str, str, str | None], n: int, found: tuple[Quantile, ...]
) -> Iterator[dict[str, object]]:
    time, umounts, owner = what
    by_q = {value.q: value for value in found}
    nothing = "no teardown" if time.startswith("teardown") else "no such umount"
    if time == "device busy":
        nothing = each.unknown.get("claims") or "no such claim"
    why = ("; ".join(each.why) or None) if n else nothing
    for q in QUANTILES:
        value = by_q.get(q)
        yield {
            "design": each.design.name,
            "time": time,
            "umounts": umounts,
            "owner": owner,
            "quantile": q,
            "n": n,
            "value_ns": value and value.ns,
            "low_ns": value and value.low_ns,
            "high_ns": value and value.high_ns,
            "why": why if value is None else None,
        }


#: of `Answer`, where a column has another name
_FIELDS = {"too_soon": "promise"}
_NUMBERS = tuple(name for name in DESIGN_COLUMNS.names if name not in {"design", "title", "why"})
