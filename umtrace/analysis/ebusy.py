"""EBUSY windows as a DataFrame; a recording without them has none, not an error."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from umtrace.analysis.frames import rows_to_frame
from umtrace.model.windows import SCHEMA
from umtrace.query.selection import Selection
from umtrace.query.window_filter import chosen_windows

TABLE = "ebusy"


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
    if TABLE not in recording.meta.tables:
        return rows_to_frame(SCHEMA.empty_table())
    names = list(columns or recording.schema(TABLE).names)
    most, fewer = many or (0, names)
    kept: list[pa.RecordBatch] = []
    rows = 0
    for batch in chosen_windows(selection, names):
        rows += batch.num_rows
        kept.append(batch)
        if many and rows > most:
            names = list(fewer)
            kept = [each.select(names) for each in kept]
    return rows_to_frame(pa.Table.from_batches(kept, recording.schema(TABLE, names)))
