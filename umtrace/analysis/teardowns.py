"""Teardowns, and waits for the namespace lock, as DataFrames."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from umtrace.analysis.frames import rows_to_frame
from umtrace.query.selection import Selection
from umtrace.query.teardowns import each_teardown
from umtrace.teardowns import SCHEMA, WAITS, behind, wait_row


def teardowns_frame(selection: Selection, gap_ns: int) -> pd.DataFrame:
    """Return one row per teardown, in the order of their end; columns of `SCHEMA`."""
    rows = [each.numbers() for each in each_teardown(selection, gap_ns)]
    return rows_to_frame(pa.Table.from_pylist(rows, schema=SCHEMA))


def lock_waits_frame(selection: Selection, least_ns: int) -> pd.DataFrame:
    """Return one row per wait of an umount with a known owner; columns of `WAITS`."""
    rows = [
        wait_row(wait, each.scene, each.owner.name)
        for each in each_teardown(selection)
        for wait in behind(each.scene, each.mine, least_ns)
    ]
    return rows_to_frame(pa.Table.from_pylist(rows, schema=WAITS))
