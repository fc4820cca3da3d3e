"""The EBUSY windows that the umounts of a selection began.

A filter of umounts selects windows by their first umount. It does not change a window: its retries
count, also those that do not pass the filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import fixed, integers
from umtrace.query.selection import Selection
from umtrace.recording.tables import EBUSY

#: the id of a row; the id of the row that began a window
ROW_ID, WINDOW_ID = "id", "umount_id"


class WindowFilter:
    """Selects windows by their first umount. Memory: 9 bytes a window.

    Parameters
    ----------
    windows : iterable of RecordBatch
        All windows, with ``umount_id``; null: no umount began it.
    """

    def __init__(self, windows: Iterable[pa.RecordBatch]) -> None:
        ids = [integers(batch.column(WINDOW_ID), -1) for batch in windows]
        self._ids = np.unique(np.concatenate([np.array([-1], np.int64), *ids]))
        self._seen = np.zeros(self._ids.size, np.bool_)

    def add(self, rows: pa.RecordBatch) -> None:
        """Add umount rows that pass the filter; they need the column ``id``."""
        ids = integers(rows.column(ROW_ID))
        at = np.searchsorted(self._ids, ids).clip(max=self._ids.size - 1)
        self._seen[at[self._ids[at] == ids]] = True

    def keep(self, windows: pa.RecordBatch) -> pa.RecordBatch:
        """Return those of ``windows`` that the rows added so far began."""
        kept = self._seen[np.searchsorted(self._ids, integers(windows.column(WINDOW_ID), -1))]
        return windows.filter(fixed(kept, pa.bool_()))


def chosen_windows(selection: Selection, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns of the recorded windows that the selected umounts began."""
    recording, table = selection.recording, EBUSY.name
    if selection.is_whole:
        yield from recording.batches(table, columns=columns)
        return
    begun = WindowFilter(recording.batches(table, columns=[WINDOW_ID]))
    for rows in selection.batches([ROW_ID]):
        begun.add(rows)
    names = list(dict.fromkeys((*columns, WINDOW_ID)))
    for windows in recording.batches(table, columns=names):
        yield begun.keep(windows).select(list(columns))
