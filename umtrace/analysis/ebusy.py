"""EBUSY windows as a DataFrame; a recording without them has none, not an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from umtrace.analysis.frames import rows_to_frame

if TYPE_CHECKING:
    from umtrace.recording import Recording

TABLE = "ebusy"
_NS = pa.int64()
_UTC = pa.timestamp("ns", tz="UTC")
#: the least that a frame of windows has, in a recording that knows of none
LEAST: pa.Schema = pa.schema(
    [
        ("class", pa.string()),
        ("spurious", pa.string()),
        ("begin", _UTC),
        ("end", _UTC),
        ("duration_ns", _NS),
        ("path", pa.string()),
        ("dev", pa.string()),
        ("umount_id", _NS),
        ("evidence", pa.string()),
    ]
)


def ebusy_frame(
    recording: Recording,
    span: tuple[int | None, int | None] = (None, None),
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the windows that begin in a span of ns of UTC; empty where none are recorded."""
    if TABLE not in recording.meta.tables:
        return rows_to_frame(LEAST.empty_table())
    schema = recording.schema(TABLE)
    if not {"class", "begin", "duration_ns", "path"} <= set(schema.names):
        return rows_to_frame(LEAST.empty_table())
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns if name in schema.names])
    batches = recording.batches(TABLE, columns=schema.names, span=span)
    return rows_to_frame(pa.Table.from_batches(batches, schema))
