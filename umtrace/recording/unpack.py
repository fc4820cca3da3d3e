"""Decode what a Parquet file packed, at most some MB at once, whatever it claims to hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from umtrace.recording.files import open_regular

_MAGIC = b"PAR1"
_MOST_FOOTER = 64 << 20
#: Arrow's own schema in a footer; a changed byte in it crashes Arrow, and Parquet's says the same
_ARROW_SCHEMA, _IGNORED = b"ARROW:schema", b"ARROW:ignore"

_MOST_ROWS = 1 << 20  # of a row group: what Arrow writes unless asked; umtrace writes 65,536
_MOST_BYTES = 1 << 30  # of a row group, as it says itself
_TEXT_BYTES = 64 << 20  # of one batch


def footer(path: Path) -> bytes:
    """Return a Parquet file without its data and without Arrow's schema.

    Raises ValueError where it is none, OSError where it cannot be read.
    """
    with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor
        size = file.seek(0, 2)
        file.seek(max(size - 8, 0))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _MAGIC or size < length + 12:
            raise ValueError("it has no Parquet footer")
        if length > _MOST_FOOTER:
            raise ValueError(f"a footer of {length >> 20} MB")
        file.seek(size - 8 - length)
        data = file.read(length)
    return _MAGIC + data.replace(_ARROW_SCHEMA, _IGNORED) + end


def check_size(group: Any) -> None:
    """Raise ValueError where a row group is larger than any that umtrace writes.

    Parameters
    ----------
    group : pyarrow.parquet.RowGroupMetaData
    """
    size = sum(group.column(at).total_uncompressed_size for at in range(group.num_columns))
    if not 0 <= group.num_rows <= _MOST_ROWS:
        raise ValueError(f"a row group of {group.num_rows} rows")
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"a row group of {size >> 20} MB")


def unpacked(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts, its dictionaries as plain columns.

    Raises ValueError for a text that is not UTF-8, which would fail far from here.
    """
    batch.validate(full=True)
    if batch.num_rows > 1 and _text_bytes(batch) > _TEXT_BYTES:
        half = batch.num_rows // 2
        yield from unpacked(batch.slice(0, half))
        yield from unpacked(batch.slice(half))
        return
    columns = [
        column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        for column in batch.columns
    ]
    if not columns:
        yield batch
        return
    plain = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    plain.validate(full=True)
    yield plain


def _text_bytes(batch: pa.RecordBatch) -> int:
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    total = 0
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray) and len(column.dictionary):
            lengths = pc.binary_length(column.dictionary)
            longest = pc.max(lengths).as_py() or 0
            if longest * len(column) > _TEXT_BYTES:
                total += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
    return total
