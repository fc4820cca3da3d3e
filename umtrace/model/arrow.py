"""numpy arrays to Arrow columns, and back, by their buffers.

``pyarrow.array``, ``to_numpy`` and ``RecordBatch.from_pylist`` import pandas when it is installed:
some 0.2 s and 60 MB that a recorder has no use for. What is built here does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools = npt.NDArray[np.bool_]


def fixed(
    values: npt.NDArray[np.generic], arrow_type: pa.DataType, null: Bools | None = None
) -> pa.Array:
    """Return a column of numbers, booleans or timestamps.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Converted to the width of ``arrow_type``; values under ``null`` are ignored.
    arrow_type : DataType
        Of fixed width; a timestamp takes integers of its unit.
    null : ndarray of bool, shape (n,), optional
        Where the value is unknown.
    """
    if null is not None and null.all():
        return pa.nulls(len(values), arrow_type)
    dtype = _dtype(arrow_type)
    if dtype == np.bool_:
        data = np.packbits(values.astype(np.bool_), bitorder="little")
    else:
        data = np.ascontiguousarray(values, dtype)
    buffers = [_validity(null), pa.py_buffer(data)]
    return pa.Array.from_buffers(arrow_type, len(values), buffers)


@lru_cache(maxsize=32)
def _dtype(arrow_type: pa.DataType) -> np.dtype[np.generic]:
    """Return the dtype of numbers, booleans or times."""
    if pa.types.is_timestamp(arrow_type):
        return np.dtype(np.int64)
    return np.dtype(str(arrow_type))


def fixed_or_null(values: Sequence[int | bool | None], arrow_type: pa.DataType) -> pa.Array:
    """Return a column of numbers, booleans or timestamps; None is null."""
    null = np.fromiter((value is None for value in values), np.bool_, len(values))
    numbers = np.array([value or 0 for value in values], _dtype(arrow_type))
    return fixed(numbers, arrow_type, null)


def text(values: Sequence[str | None]) -> pa.Array:
    """Return a string column; None is null."""
    null = np.fromiter((value is None for value in values), np.bool_, len(values))
    return _strings([b"" if value is None else value.encode() for value in values], null)


def encoded_text(values: Sequence[bytes | None]) -> pa.Array:
    """Return a string column of bytes from the kernel; None and empty are null.

    What is not UTF-8 is escaped.
    """
    whole = [value or b"" for value in values]
    try:
        b"\0".join(whole).decode()
    except UnicodeDecodeError:
        whole = [value.decode("utf-8", "backslashreplace").encode() for value in whole]
    null = np.fromiter(map(len, whole), np.int64, len(whole)) == 0
    return _strings(whole, null)


def _strings(encoded: list[bytes], null: Bools) -> pa.Array:
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return string_column(b"".join(encoded), lengths, null)


def string_column(
    data: bytes | npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64], null: Bools
) -> pa.Array:
    """Return a string column of UTF-8 texts that lie one after the other in ``data``."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [_validity(null), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(lengths), buffers)


def number(value: int, arrow_type: pa.DataType) -> pa.Scalar:
    """Return a scalar for a comparison; ``pyarrow.scalar`` imports pandas too."""
    return fixed(np.array([value], np.int64), arrow_type)[0]


def choice(codes: npt.NDArray[np.integer], names: Sequence[str | None]) -> pa.Array:
    """Return a string column whose values are ``names[code]``; a negative code is null.

    For few distinct values: each is encoded once.
    """
    texts = _text_of(tuple(names))
    if codes.size and codes[0] >= 0 and (codes == codes[0]).all():
        return pa.repeat(texts[int(codes[0])], codes.size)
    index = fixed(codes, pa.int32(), codes < 0)
    return pa.DictionaryArray.from_arrays(index, texts).dictionary_decode()


def distinct(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int32], list[Any]]:
    """Return the position of each value in the list of distinct ones, and that list.

    Like ``np.unique``, but by a hash table, and in the order in which they come first.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Unsigned numbers, or texts of a fixed size (``S16``), whose closing NULs are dropped.
    """
    size = values.dtype.itemsize
    fits = pa.binary(size) if values.dtype.kind == "S" else pa.from_numpy_dtype(values.dtype)
    data = pa.py_buffer(np.ascontiguousarray(values))
    found = pa.Array.from_buffers(fits, len(values), [None, data]).dictionary_encode()
    first = found.dictionary.to_pylist()
    if values.dtype.kind == "S":
        first = [value.rstrip(b"\0") for value in first]
    index = np.frombuffer(found.indices.buffers()[1], np.int32, len(values))
    return index, first


@lru_cache(maxsize=128)
def _text_of(names: tuple[str | None, ...]) -> pa.Array:
    """Return ``text(names)``, which is the same for nearly every batch."""
    return text(names)


def integers(column: pa.Array, null: int = 0) -> npt.NDArray[np.int64]:
    """Return a column of integers or times, shape (n,), with ``null`` for null."""
    column = column.cast(pa.int64(), safe=False)
    if column.null_count:
        column = column.fill_null(number(null, pa.int64()))
    if not len(column):
        return np.empty(0, np.int64)
    return np.frombuffer(column.buffers()[1], np.int64, len(column), column.offset * 8)


def mask(column: pa.Array) -> Bools:
    """Return a column of booleans, shape (n,); null is false."""
    if not len(column):
        return np.empty(0, np.bool_)
    if column.null_count:
        column = column.fill_null(_FALSE)
    bits, at = np.frombuffer(column.buffers()[1], np.uint8), column.offset
    return np.unpackbits(bits, count=at + len(column), bitorder="little")[at:].view(np.bool_)


def _validity(null: Bools | None) -> pa.Buffer | None:
    if null is None or not null.any():
        return None
    return pa.py_buffer(np.packbits(~null, bitorder="little"))


_FALSE = number(0, pa.bool_())
