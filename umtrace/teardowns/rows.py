"""Umount rows as arrays, for the functions of this package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import fixed, integers
from umtrace.stats.buckets import Int64
from umtrace.stats.columns import START, plain_rows
from umtrace.stats.groups import encode
from umtrace.stats.summarize import LATENCY
from umtrace.teardowns import owner

Bools = npt.NDArray[np.bool_]
#: null in an array of this package: no duration, count or id is below zero
UNKNOWN = -1
_MORE = (
    "id", START, LATENCY, "latency_bound", "origin", "mode", "errno", "pid", "tid", "comm",
    "mntns", "path", "fstype", "n_mounts", "lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns",
    "shutdown_ns", "other_ns", "rcu_kind", "gp_seq", "lock_holder_tid", "lock_holder_comm",
    "lock_holder_op",
)  # fmt: skip
#: the columns of umount rows that `Rows` needs
COLUMNS = tuple(dict.fromkeys((*_MORE, *owner.COLUMNS)))
#: those that say which rows belong together
GROUPED = tuple(dict.fromkeys(("id", START, LATENCY, "origin", "tid", *owner.COLUMNS)))
#: origins that take no mount of an owner down: their mounts never came to be
_NOT_TAKEN_DOWN = frozenset({"failed-mount", "mount-internal"})


class Rows:
    """Rows with a known begin and latency, of shape (n,).

    Attributes
    ----------
    batch : RecordBatch
        With the columns `COLUMNS`.
    begin, end : ndarray of int64
        ns of UTC.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.begin = integers(batch.column(START))
        self.end = self.begin + np.maximum(self.of(LATENCY), 0)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    @classmethod
    def of_batch(cls, batch: pa.RecordBatch, columns: Sequence[str] = COLUMNS) -> tuple[Rows, int]:
        """Return the rows that can be placed, and how many cannot.

        A row of a mount that failed, or that the kernel made for itself, is neither.
        """
        batch = batch.select(columns)
        codes, values = encode(batch.column("origin"))
        other = [n for n, value in enumerate(values) if value in _NOT_TAKEN_DOWN]
        if other:
            batch = batch.filter(fixed(~np.isin(codes, other), pa.bool_()))
        placed = (integers(batch.column(START), UNKNOWN) > 0) & (
            integers(batch.column(LATENCY), UNKNOWN) >= 0
        )
        if placed.all():
            return cls(batch), 0
        return cls(batch.filter(fixed(placed, pa.bool_()))), int((~placed).sum())

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return the rows of all parts, in their order; at least one part is needed."""
        if len(parts) == 1:
            return parts[0]
        table = pa.Table.from_batches([part.batch for part in parts]).combine_chunks()
        batches = table.to_batches()
        return cls(batches[0]) if batches else parts[0]

    def take(self, places: Int64 | Bools) -> Rows:
        """Return some rows, by their places or by a mask."""
        at = np.flatnonzero(places) if places.dtype == np.bool_ else places
        return Rows(self.batch.take(fixed(at, pa.int64())))

    def of(self, column: str) -> Int64:
        """Return a column of numbers, `UNKNOWN` for null."""
        return integers(self.batch.column(column), UNKNOWN)

    def text(self, column: str, place: int) -> str | None:
        """Return a text of one row."""
        value: str | None = self.batch.column(column)[place].as_py()
        return value

    def is_one_of(self, column: str, values: Sequence[str]) -> Bools:
        """Return which rows have one of these texts."""
        codes, found = encode(self.batch.column(column))
        return np.isin(codes, [n for n, value in enumerate(found) if value in values])

    def codes(self, *columns: str) -> Int64:
        """Return a number for each distinct combination of columns; null is a value."""
        whole = np.zeros(len(self), np.int64)
        for name in columns:
            codes, values = encode(self.batch.column(name))
            whole = whole * max(len(values), 1) + codes
        return whole

    def plain(self) -> list[dict[str, Any]]:
        """Return the rows as mappings, times in ns."""
        return list(plain_rows([self.batch]))

    @cached_property
    def waits(self) -> tuple[Int64, Int64]:
        """(begin, end) of each wait for the namespace lock; `UNKNOWN` where it is not known.

        Path lookup and wait are the first two phases of umount(2), so their places are known.
        """
        lookup, lock = self.of("lookup_ns"), self.of("lock_ns")
        known = (lookup >= 0) & (lock >= 0)
        begin = self.begin + lookup
        return np.where(known, begin, UNKNOWN), np.where(known, begin + lock, UNKNOWN)

    @cached_property
    def holds(self) -> tuple[Int64, Int64]:
        """(begin, end) of the time in which each row had the lock; `UNKNOWN` where not known.

        That is its umount tree. What is no umount(2) begins with it.
        """
        tree = self.of("tree_ns")
        _, after_wait = self.waits
        called = self.is_one_of("origin", ["umount"])
        begin = np.where(called, after_wait, self.begin)
        known = (tree > 0) & (begin >= 0)
        return np.where(known, begin, UNKNOWN), np.where(known, begin + tree, UNKNOWN)

    def had_the_lock(self, at: int) -> list[int]:
        """Return the rows that had the lock while one waited for it, in this order."""
        begin, end = (int(edge[at]) for edge in self.waits)
        if begin < 0:
            return []
        ends = self.holds[1][self._by_hold]
        low, high = np.searchsorted(ends, [begin, end], side="right")
        return [int(row) for row in self._by_hold[low:high] if row != at]

    @cached_property
    def _by_hold(self) -> Int64:
        return np.argsort(self.holds[1], kind="stable")

    @cached_property
    def whose(self) -> tuple[Int64, list[owner.Owner | None]]:
        """The owner of each row, as a place in the list."""
        return owner.owners(self.batch)
