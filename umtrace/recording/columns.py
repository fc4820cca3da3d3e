"""Events and names between numpy records and Arrow columns, column by column.

``pa.array`` and ``Array.to_numpy`` are avoided on purpose: both import pandas where
it is installed, and recording must stay small. Buffers are handed over instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, NAME_TEXT, Array
from umtrace.recording.tables import EVENTS, NAMES


def events_to_arrow(events: Array) -> pa.RecordBatch:
    """Return the events as columns; copies, as the ring buffer is reused."""
    columns = [_fixed(events[field.name], field.type) for field in EVENTS.schema]
    return pa.RecordBatch.from_arrays(columns, schema=EVENTS.schema)


def events_to_numpy(batch: pa.RecordBatch) -> Array:
    """Return the exact records that ``events_to_arrow`` was given."""
    events = np.empty(batch.num_rows, EVENT_DTYPE)
    for name in EVENT_DTYPE.names or ():
        events[name] = _values(batch.column(name), EVENT_DTYPE[name])
    return events


def names_to_arrow(names: Array, at_event: int) -> pa.RecordBatch:
    """Return the names as columns, their text cut to ``len`` bytes."""
    columns = [
        _fixed(names[name], NAMES.schema.field(name).type)
        for name in NAME_DTYPE.names or ()
        if name != "text"
    ]
    columns.append(_texts(names))
    columns.append(_fixed(np.full(len(names), at_event, "<u8"), pa.uint64()))
    return pa.RecordBatch.from_arrays(columns, schema=NAMES.schema)


def names_to_numpy(batch: pa.RecordBatch) -> Array:
    """Return the records, zero after their text; ValueError for a text too long."""
    names = np.zeros(batch.num_rows, NAME_DTYPE)
    for name in NAME_DTYPE.names or ():
        if name != "text":
            names[name] = _values(batch.column(name), NAME_DTYPE[name])
    if batch.num_rows:
        names["text"] = _padded(batch.column("text"))
    return names


def at_event(batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
    """Return the number of the event that each name must not come after."""
    return _values(batch.column("at_event"), np.dtype("<u8")).astype(np.uint64)


def _fixed(values: npt.NDArray[np.generic], arrow_type: pa.DataType) -> pa.Array:
    # A strided column of one row counts as contiguous: only copy() surely copies.
    return pa.Array.from_buffers(arrow_type, len(values), [None, pa.py_buffer(values.copy())])


def _values(column: pa.Array, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    if not len(column):
        return np.empty(0, dtype)
    buffer = column.buffers()[1]
    return np.frombuffer(buffer, dtype, len(column), column.offset * dtype.itemsize)


def _texts(names: Array) -> pa.Array:
    lengths = np.minimum(names["len"], NAME_TEXT)
    offsets = np.zeros(len(names) + 1, "<i4")
    np.cumsum(lengths, out=offsets[1:])
    matrix = names["text"].copy().view("u1").reshape(len(names), NAME_TEXT)
    data = matrix[np.arange(NAME_TEXT) < lengths[:, None]]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(names), buffers)


def _padded(column: pa.Array) -> Array:
    _, raw_offsets, data = column.buffers()
    offsets = np.frombuffer(raw_offsets, "<i4", len(column) + 1, column.offset * 4)
    lengths = np.diff(offsets)
    if lengths.max() > NAME_TEXT:
        raise ValueError(f"a name of {lengths.max()} bytes, more than {NAME_TEXT}")
    matrix = np.zeros((len(column), NAME_TEXT), "u1")
    if offsets[-1] > offsets[0]:
        text = np.frombuffer(data, "u1", offsets[-1] - offsets[0], offsets[0])
        matrix[np.arange(NAME_TEXT) < lengths[:, None]] = text
    return matrix.view(NAME_DTYPE["text"]).reshape(len(column))
