"""DataFrames of a recording: its tables, its EBUSY windows, a summary of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.analysis.column_docs import description_of, unit_of
from umtrace.model.clock import ClockPair
from umtrace.model.errors import UsageError
from umtrace.model.events import Kind
from umtrace.model.umounts import Use, columns_with
from umtrace.model.windows import SCHEMA as WINDOWS
from umtrace.query.selection import Selection
from umtrace.query.window_filter import chosen_windows
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, Summary

#: columns with few distinct values; the last three are of other tables than the umounts
CATEGORIES = (*columns_with(Use.CATEGORY), "class", "spurious", "kind")
_EBUSY = "ebusy"
_NS_PER = {"us": 1_000, "ms": 1_000_000, "s": 10**9, "min": 60 * 10**9}
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def rows_to_frame(table: pa.Table) -> pd.DataFrame:
    """Return rows as a DataFrame that keeps unknown apart from zero.

    Parameters
    ----------
    table : Table
        With columns of a recording's table, any of them, in any order.

    Returns
    -------
    DataFrame
        Integers are nullable (``Int64``, ``UInt32``, ...), truth is ``boolean``, times
        are ``datetime64[ns, UTC]``, texts are ``string``, and those of `CATEGORIES` are
        categorical. Missing values are ``pd.NA`` or ``NaT``.
    """
    for place, name in enumerate(table.column_names):
        if name in CATEGORIES and pa.types.is_string(table.schema.field(name).type):
            table = table.set_column(place, name, table.column(name).dictionary_encode())
    frame: pd.DataFrame = table.to_pandas(types_mapper=_dtype)
    return frame


def events_to_frame(table: pa.Table, clock: ClockPair) -> pd.DataFrame:
    """Return events as a DataFrame, with their wall clock time first as ``time``.

    ``kind`` is the event's name, ``comm`` is text; both where they are in the table.
    """
    if "kind" in table.column_names:
        table = _replaced(table, "kind", _kind_names(table.column("kind")))
    if "comm" in table.column_names:
        table = _replaced(table, "comm", _texts(table.column("comm")))
    if "ts_ns" in table.column_names:
        wall = pc.add(table.column("ts_ns").cast(pa.int64()), clock.offset_ns)
        times = wall.cast(pa.timestamp("ns")).cast(pa.timestamp("ns", tz="UTC"))
        table = table.add_column(0, "time", times)
    return rows_to_frame(table)


def schema_frame(schemas: Mapping[str, pa.Schema]) -> pd.DataFrame:
    """Return what each column of each table means: type, unit, meaning."""
    rows = [
        (table, field.name, str(field.type), unit_of(field), description_of(field))
        for table, schema in schemas.items()
        for field in schema
    ]
    names = ["table", "column", "type", "unit", "meaning"]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=names, dtype="string").set_index(names[:2])
    return frame


def ebusy_frame(
    selection: Selection,
    columns: Sequence[str] | None = None,
    *,
    many: tuple[int, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Return the recorded windows that the selected umounts began; empty where there are none.

    Parameters
    ----------
    columns : sequence of str, optional
        Only these, in this order.
    many : (int, sequence of str), optional
        From so many windows on, only these columns are kept.
    """
    recording = selection.recording
    if _EBUSY not in recording.meta.tables:
        return rows_to_frame(WINDOWS.empty_table())
    names = list(columns or recording.schema(_EBUSY).names)
    most, fewer = many or (0, names)
    kept: list[pa.RecordBatch] = []
    rows = 0
    for batch in chosen_windows(selection, names):
        rows += batch.num_rows
        kept.append(batch)
        if many and rows > most:
            names = list(fewer)
            kept = [each.select(names) for each in kept]
    return rows_to_frame(pa.Table.from_batches(kept, recording.schema(_EBUSY, names)))


def in_unit(frame: pd.DataFrame, unit: str = "ms") -> pd.DataFrame:
    """Return a frame with its durations in another unit: ``rcu_ns`` becomes ``rcu_ms``.

    Parameters
    ----------
    unit : str
        us, ms, s or min.

    Returns
    -------
    DataFrame
        A copy; durations are ``Float64``, an unknown one stays ``pd.NA``.

    Raises
    ------
    UsageError
        For another unit.
    """
    if unit not in _NS_PER:
        raise UsageError(f"no unit {unit!r:.40}; there are: {', '.join(_NS_PER)}")
    names = [name for name in frame.columns if str(name).endswith("_ns") and name != "ts_ns"]
    values = {name: frame[name].astype("Float64") / _NS_PER[unit] for name in names}
    short = {name: name[:-2] + unit for name in names}
    converted: pd.DataFrame = frame.assign(**values).rename(columns=short)
    return converted


def summary_frame(summary: Summary) -> pd.DataFrame:
    """Return one row per group: counts, quantiles in ns, and the share of RCU, 0 to 1.

    Quantiles are of the umounts in which it took any time; missing is unknown.
    """
    rows = [_summary_row(group) for group in summary.groups]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(_summary_row(GroupSummary())))
    frame = frame.astype({name: _summary_dtype(name) for name in frame.columns})
    for place, name in enumerate(summary.by):
        values = pd.Series([group.key[place] for group in summary.groups], dtype=object)
        frame.insert(place, name, values)
    return frame.set_index(list(summary.by)) if summary.by else frame


def _summary_row(group: GroupSummary) -> dict[str, object]:
    row: dict[str, object] = {
        "umounts": group.count,
        "failed": group.n_failed,
        "incomplete": group.n_incomplete,
    }
    for column in (LATENCY, RCU):
        seen = group.metric(column).occurred
        short = column.removesuffix("_ns")
        row |= {f"{short}_{name}_ns": seen.quantile(q) for name, q in _QUANTILES.items()}
        row[f"{short}_max_ns"] = seen.max
    row["rcu_share"] = group.share(RCU)
    return row


def _summary_dtype(name: str) -> str:
    return "Float64" if name == "rcu_share" else "Int64"


def _replaced(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _kind_names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kinds = {int(kind): kind.name.lower().replace("_", "-") for kind in Kind}
    return _looked_up(column, {n: kinds.get(n, str(n)) for n in column.unique().to_pylist()})


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return _looked_up(
        column,
        {raw: raw.split(b"\0")[0].decode(errors="replace") for raw in column.unique().to_pylist()},
    )


def _looked_up(column: pa.ChunkedArray, names: Mapping[object, str]) -> pa.ChunkedArray:
    values: Iterable[object] = names
    at = pc.index_in(column, value_set=pa.array(list(values), column.type))
    return pc.take(pa.array(list(names.values()), pa.string()), at)


def _dtype(kind: pa.DataType) -> pd.api.extensions.ExtensionDtype | None:
    if pa.types.is_integer(kind):
        name = "UInt" if pa.types.is_unsigned_integer(kind) else "Int"
        return pd.api.types.pandas_dtype(f"{name}{kind.bit_width}")  # type: ignore[return-value]
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    return pd.StringDtype() if pa.types.is_string(kind) else None
