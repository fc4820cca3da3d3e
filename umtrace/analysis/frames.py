"""Umount rows as a DataFrame."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

#: columns with few distinct values
CATEGORIES = (
    "latency_bound",
    "origin",
    "mode",
    "comm",
    "container",
    "fstype",
    "rcu_kind",
    "final_put",
    "final_put_comm",
    "tier",
    "incomplete_why",
)


def rows_to_frame(table: pa.Table) -> pd.DataFrame:
    """Return umount rows as a DataFrame that keeps unknown apart from zero.

    Parameters
    ----------
    table : Table
        With columns of `umtrace.records.umounts.SCHEMA`, any of them, in any order.

    Returns
    -------
    DataFrame
        Integers are nullable (``Int64``, ``UInt32``, ...), ``complete`` is ``boolean``,
        ``t_start`` is ``datetime64[ns, UTC]``, texts are ``string``, and those of
        `CATEGORIES` are categorical. Missing values are ``pd.NA`` or ``NaT``.
    """
    for place, name in enumerate(table.column_names):
        if name in CATEGORIES:
            table = table.set_column(place, name, table.column(name).dictionary_encode())
    frame: pd.DataFrame = table.to_pandas(types_mapper=_dtype)
    return frame


def _dtype(kind: pa.DataType) -> pd.api.extensions.ExtensionDtype | None:
    if pa.types.is_integer(kind):
        name = "UInt" if pa.types.is_unsigned_integer(kind) else "Int"
        return pd.api.types.pandas_dtype(f"{name}{kind.bit_width}")  # type: ignore[return-value]
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    return pd.StringDtype() if pa.types.is_string(kind) else None
