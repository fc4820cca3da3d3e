"""Operations as a table of columns; a column that was never set needs no memory and no time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from umtrace.correlate.fields import FIELDS, Column, FieldName

Index = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


class Ops:
    """Operations, open or complete, field by field (``fields.FIELDS``).

    A column that was never set reads as zeros, which must not be written to; so a tier without
    function probes needs no columns for them.
    """

    __slots__ = ("_columns", "_size")

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._columns: dict[FieldName, Column] = {}

    def __len__(self) -> int:
        return self._size

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: FieldName) -> Column:
        column = self._columns.get(name)
        return _zeros(name, self._size) if column is None else column

    def __setitem__(self, name: FieldName, values: Column) -> None:
        """Set a column of shape (n,), converted to its dtype."""
        self._columns[name] = values.astype(FIELDS[name].dtype, copy=False)

    @property
    def names(self) -> frozenset[FieldName]:
        """The columns that were set."""
        return frozenset(self._columns)

    def put(
        self, name: FieldName, index: Index | slice | int, values: Column | bytes | int
    ) -> None:
        """Set the values of some; if one has several, the last stays."""
        if name not in self._columns:
            self._columns[name] = np.zeros(self._size, FIELDS[name].dtype)
        self._columns[name][index] = values

    def take(self, index: Index) -> Ops:
        """Return a copy of some, in the order of ``index``; a mask keeps the order."""
        at = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return self._made(len(at), {name: c[at] for name, c in self._columns.items()})

    def part(self, begin: int, end: int) -> Ops:
        """Return a view of ``[begin:end]``."""
        columns = {name: column[begin:end] for name, column in self._columns.items()}
        return self._made(len(range(self._size)[begin:end]), columns)

    def ordered(self, by: FieldName) -> Ops:
        """Return a copy, stably sorted by a column."""
        return self.take(np.argsort(self[by], kind="stable"))

    @staticmethod
    def joined(parts: Sequence[Ops]) -> Ops:
        """Return the operations of all parts, one part after the other."""
        parts = [part for part in parts if len(part)]
        if len(parts) == 1:
            return parts[0]
        names = {name for part in parts for name in part.names}
        columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
        return Ops._made(sum(map(len, parts)), columns)

    @staticmethod
    def _made(size: int, columns: dict[FieldName, Column]) -> Ops:
        ops = Ops(size)
        ops._columns = columns
        return ops


def _zeros(name: FieldName, size: int) -> Column:
    zeros = np.zeros(size, FIELDS[name].dtype)
    zeros.flags.writeable = False
    return zeros
