"""Whose the umounts of a load are, and which belong to one teardown."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.teardowns.bursts import bursts
from umtrace.teardowns.collect import ended_by
from umtrace.teardowns.owner import COLUMNS as OWNER_COLUMNS
from umtrace.teardowns.owner import owners
from umtrace.teardowns.rows import GROUPED, Rows
from umtrace.whatif.load import COLUMNS, Whose

#: the columns that are read for a simulation
READ = tuple(dict.fromkeys((*COLUMNS, *GROUPED, *OWNER_COLUMNS)))


def whose(batch: pa.RecordBatch) -> Whose:
    """Return the owners of rows that all have a begin and an end, and the teardowns they are in."""
    codes, found = owners(batch)
    rows = Rows(batch)
    known = np.array([each is not None for each in found], np.bool_)
    teardown = bursts(codes, rows.begin, rows.end, ended_by(rows, codes, found))
    return Whose(
        owner=codes,
        owners=tuple(None if each is None else each.name for each in found),
        teardown=_of_known(teardown, codes, known),
    )


def _of_known(teardown: Int64, codes: Int64, known: np.ndarray) -> Int64:
    return np.where(known[codes], teardown, -1) if codes.size else teardown
