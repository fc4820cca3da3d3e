"""Rows as text for other tools: CSV and JSON lines, streamed batch by batch.

Times become ISO 8601 in UTC with nanoseconds. An unknown value is an empty cell in
CSV (an empty text is ``""``) and null in JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from umtrace.model.hangs import Hang
from umtrace.model.umounts import SCHEMA as ROWS
from umtrace.present.escaped import dumps
from umtrace.present.terminal import clean


def write_csv(out: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a header line and one line per row; return the number of rows.

    CSV has no way to write a control character as text. On a terminal it is shown as `?`;
    elsewhere a cell is what was recorded.
    """
    shown = _shown if out.isatty() else readable_times
    head = (",".join(schema.names) + "\n").encode()
    options = csv.WriteOptions(include_header=False)
    rows = 0
    for batch in batches:
        buffer = pa.BufferOutputStream()
        csv.write_csv(shown(batch), buffer, options)
        out.write(head + buffer.getvalue())  # not earlier: a terminal shows progress until then
        rows, head = rows + batch.num_rows, b""
    out.write(head)
    return rows


def write_jsonl(out: BinaryIO, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write one JSON object per row, keys in column order; return the number of rows.

    ``t_start`` is followed by ``t_start_ns``, the same in ns since the epoch.
    """
    del schema  # every line names its keys
    rows = 0
    for batch in batches:
        encoded = [dumps(row, ascii_only=False) for row in _objects(batch)]
        out.write("".join(line + "\n" for line in encoded).encode())
        rows += batch.num_rows
    return rows


def hang_json(hang: Hang) -> str:
    """Return an umount that has not ended as a JSON line: its row so far, and where it is."""
    batch = pa.RecordBatch.from_pylist([dict(hang.row)], schema=ROWS)
    (row,) = _objects(batch)
    head = {"event": "hang", "phase": hang.phase, "phase_ns": hang.phase_ns}
    return dumps({**head, "so_far_ns": hang.so_far_ns, **row}, ascii_only=False)


def _shown(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [_clean(column) for column in readable_times(batch).columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _clean(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    values = [None if value is None else clean(value) for value in column.to_pylist()]
    return pa.array(values, pa.string())


def readable_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with its timestamps as text: 2026-03-01T12:00:00.000000001Z."""
    columns = [_iso(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _iso(column: pa.Array) -> pa.Array:
    if not pa.types.is_timestamp(column.type):
        return column
    text = column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.string())
    return pc.replace_substring(text, pattern=" ", replacement="T", max_replacements=1)


def _objects(batch: pa.RecordBatch) -> list[dict[str, object]]:
    names, values = [], []
    for name, column, text in zip(
        batch.schema.names, batch.columns, readable_times(batch).columns, strict=True
    ):
        names.append(name)
        values.append(text.to_pylist())
        if pa.types.is_timestamp(column.type):
            names.append(f"{name}_ns")
            values.append(column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_pylist())
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
