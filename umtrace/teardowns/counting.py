"""Counts teardowns, of any number of rows, without keeping more of a row than six numbers.

What `Collector` hands out whole, this finds by owner, begin and end alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.teardowns.bursts import GAP_NS, bursts, ended
from umtrace.teardowns.collect import FEW, MOST, PATIENCE_NS
from umtrace.teardowns.owner import NAMESPACE, Owner
from umtrace.teardowns.rows import GROUPED, Rows


class Found(NamedTuple):
    """Teardowns that are done, shape (n,), in the order of their end; times are ns of UTC."""

    owner: Int64  #: place in ``Counting.owners``
    begin: Int64
    end: Int64


class Counting:
    """Finds teardowns in batches of rows; the bounds are those of `Collector`.

    Attributes
    ----------
    owners : list of Owner
    unplaced, ownerless, cut : int
        As of `Collector`.
    """

    columns = GROUPED

    def __init__(self, gap_ns: int = GAP_NS) -> None:
        self._gap = gap_ns
        self._patience = max(PATIENCE_NS, gap_ns)
        self.owners: list[Owner] = []
        self._places: dict[Owner, int] = {}
        self._parts: list[Int64] = []
        self._waiting, self._next = 0, FEW
        self.unplaced = self.ownerless = self.cut = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[Found]:
        """Take rows with at least ``columns``; yield the teardowns that are done."""
        rows, unplaced = Rows.of_batch(batch, GROUPED)
        self.unplaced += unplaced
        if not len(rows):
            return
        owner = self._owner_of(rows)
        spaces = [n for n, each in enumerate(self.owners) if each.kind == NAMESPACE]
        exits = rows.is_one_of("origin", ["ns-exit"])
        self.ownerless += int((owner < 0).sum())
        kept = np.stack(
            [owner, rows.begin, rows.end, exits, np.isin(owner, spaces), rows.of("tid")]
        )
        self._parts.append(kept[:, (owner >= 0) | exits])  # an end may be that of a known one
        self._waiting += self._parts[-1].shape[1]
        if self._waiting < self._next:
            return
        yield self._settle(int(max(part[2].max(initial=0) for part in self._parts)))
        if self._waiting > MOST:
            self.cut += 1
            yield self._settle(None)
        self._next = max(2 * self._waiting, FEW)

    def finish(self) -> Iterator[Found]:
        """Yield the rest: no more rows come."""
        if self._waiting:
            yield self._settle(None)

    def _owner_of(self, rows: Rows) -> Int64:
        """Return the place of each row's owner; -1 is not known."""
        codes, found = rows.whose
        places = [-1 if each is None else self._place(each) for each in found]
        return np.array(places, np.int64)[codes]

    def _place(self, owner: Owner) -> int:
        same = owner._replace(by="")
        if same not in self._places:
            self._places[same] = len(self.owners)
            self.owners.append(owner)
        return self._places[same]

    def _settle(self, now: int | None) -> Found:
        """Return the teardowns that are done at a time; None is all."""
        whole = np.concatenate(self._parts, axis=1)
        owner, begin, end, exits, is_space, tid = whole
        ends = ended(tid, owner, begin, exits.astype(np.bool_), is_space.astype(np.bool_))
        number = bursts(owner, begin, end, ends, self._gap)
        n_bursts = int(number.max(initial=-1)) + 1
        whose = np.empty(n_bursts, np.int64)
        whose[number] = owner
        begins = np.full(n_bursts, np.iinfo(np.int64).max)
        np.minimum.at(begins, number, begin)
        last = np.full(n_bursts, np.iinfo(np.int64).min)
        np.maximum.at(last, number, end)
        over = np.ones(n_bursts, np.bool_) if now is None else last < now - self._patience
        self._parts = [whole[:, ~over[number]]]
        self._waiting = self._parts[0].shape[1]
        done = np.flatnonzero(over)[np.argsort(last[over], kind="stable")]
        done = done[whose[done] >= 0]
        return Found(whose[done], begins[done], last[done])
