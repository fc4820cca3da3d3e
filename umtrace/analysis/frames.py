"""Tables of a recording as DataFrames, and what their columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.analysis.column_docs import description_of, unit_of
from umtrace.model.clock import ClockPair
from umtrace.model.events import Kind
from umtrace.model.umounts import Use, columns_with

#: columns with few distinct values; the last three are of other tables than the umounts
CATEGORIES = (*columns_with(Use.CATEGORY), "class", "spurious", "kind")


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
