"""Numbers the distinct combinations of key columns across record batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import integers
from umtrace.model.errors import UsageError
from umtrace.model.umounts import Use, columns_with
from umtrace.stats.buckets import Int64

#: columns that rows may be grouped by
KEYS = columns_with(Use.KEY)

_MOST_COUNTED = 1 << 16  # codes beyond this are sorted, not counted

Key = tuple[str | int | None, ...]


def check_keys(by: Sequence[str]) -> tuple[str, ...]:
    """Return the keys without repetition.

    Raises
    ------
    UsageError
        A name is not one of `KEYS`.
    """
    for name in by:
        if name not in KEYS:
            raise UsageError(f"cannot group by '{name}'; choose from {', '.join(KEYS)}")
    return tuple(dict.fromkeys(by))


class GroupNumbers:
    """Gives each distinct key a number, in order of appearance."""

    def __init__(self, by: Sequence[str]) -> None:
        self._by = check_keys(by)
        self._numbers: dict[Key, int] = {}

    @property
    def keys(self) -> list[Key]:
        """The keys seen so far; a key's place is its number."""
        return list(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, batch: pa.RecordBatch) -> Int64:
        """Return the group number of each row, int64 of shape (batch.num_rows,)."""
        local = np.zeros(batch.num_rows, np.int64)
        keys: list[Key] = [()] if batch.num_rows else []
        for name in self._by:
            codes, values = encode(batch.column(name))
            codes_found, local = distinct(local * len(values) + codes, len(keys) * len(values))
            pairs = (divmod(code, len(values)) for code in codes_found.tolist())
            keys = [(*keys[before], values[code]) for before, code in pairs]
        numbers = [self._numbers.setdefault(key, len(self._numbers)) for key in keys]
        return np.array(numbers, np.int64)[local] if numbers else local


def distinct(codes: Int64, bound: int) -> tuple[Int64, Int64]:
    """Return the distinct codes, all below ``bound``, in order, and each one's place in them."""
    if bound > _MOST_COUNTED:
        found, places = np.unique(codes, return_inverse=True)
        return found, places
    found = np.flatnonzero(np.bincount(codes, minlength=bound))
    place_of = np.zeros(bound, np.int64)
    place_of[found] = np.arange(found.size)
    return found, place_of[codes]


def encode(column: pa.Array) -> tuple[Int64, list[Any]]:
    """Return (codes, values) of a column: the distinct values, and each row's place in them.

    Null is a value like any other, None. Values are in the order of their first row. ``codes`` is
    int64 of shape (len(column),).
    """
    if isinstance(column, pa.DictionaryArray):
        values = column.dictionary.to_pylist() if len(column.dictionary) <= len(column) else [None]
        if None not in values and len(set(values)) == len(values):
            return _encoded_again(integers(column.indices, len(values)), [*values, None])
        column = column.dictionary_decode()
    encoded = column.dictionary_encode(null_encoding="encode")
    return integers(encoded.indices), encoded.dictionary.to_pylist()


def _encoded_again(indices: Int64, values: list[Any]) -> tuple[Int64, list[Any]]:
    """Return what `encode` does, of indices of distinct values, without reading a value again."""
    found, places = distinct(indices, len(values))
    order = np.argsort(first_rows(found.size, places))
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return rank[places], [values[n] for n in found[order].tolist()]


def first_rows(n_values: int, places: Int64) -> Int64:
    """Return the first row of each value, int64 of shape (n_values,)."""
    first = np.empty(n_values, np.int64)
    first[places[::-1]] = np.arange(places.size)[::-1]  # what is written last stays
    return first
