"""Collects rows into teardowns as they come, in bounded memory.

The same for a recording and for live umounts. Rows come in the order in which they ended. A
teardown is done when no later row can belong to it: ``patience_ns`` after its last end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.teardowns.bursts import GAP_NS, bursts, ended
from umtrace.teardowns.owner import NAMESPACE, Owner
from umtrace.teardowns.rows import COLUMNS, Bools, Rows
from umtrace.teardowns.teardown import Teardown

#: an umount that ends so long after the others of its owner is a teardown of its own
PATIENCE_NS = 60_000_000_000
#: rows that wait for the rest of their teardown; with more, they are handed out as they are
MOST = 1 << 17
FEW = 1 << 13  #: rows after which it is looked for what is done


class Collector:
    """Makes teardowns of batches of rows.

    Parameters
    ----------
    gap_ns : int
        The longest pause within a teardown.
    patience_ns : int
        How long after its end a teardown waits for a row that began in it.
    columns : sequence of str
        Those of the rows that are kept: `GROUPED` suffices to count teardowns.
    """

    def __init__(
        self,
        gap_ns: int = GAP_NS,
        patience_ns: int = PATIENCE_NS,
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        self._gap, self._patience = gap_ns, max(patience_ns, gap_ns)
        self._columns = columns
        self._parts: list[Rows] = []
        self._past: list[Rows] = []  # of teardowns that are done, but overlap one that is not
        self._waiting = 0
        self._next = FEW
        self.unplaced = 0  #: rows without a known begin or latency, which are in no teardown
        self.ownerless = 0  #: rows of which no owner is known
        self.cut = 0  #: times that rows were handed out because there were more than `MOST`

    def add(self, batch: pa.RecordBatch) -> Iterator[Done]:
        """Take rows with at least the columns; yield the teardowns that are done."""
        rows, unplaced = Rows.of_batch(batch, self._columns)
        self.unplaced += unplaced
        if len(rows):
            self._parts.append(rows)
            self._waiting += len(rows)
        if self._waiting >= self._next:
            yield from self.done(int(max(part.end.max() for part in self._parts)))
            self._next = max(2 * self._waiting, FEW)

    def done(self, now: int) -> Iterator[Done]:
        """Yield the teardowns that are done at a time, ns of UTC."""
        if not self._parts:
            return
        yield self._settle(now - self._patience)
        if self._waiting > MOST:
            self.cut += 1
            yield from self.finish()

    def finish(self) -> Iterator[Done]:
        """Yield the rest: no more rows come."""
        if self._parts:
            yield self._settle(None)

    def _settle(self, before: int | None) -> Done:
        """Return the teardowns whose end is before a time; None is all."""
        rows = Rows.joined(self._parts)
        number, owners = _numbered(rows, self._gap)
        over = np.ones(int(number.max()) + 1, np.bool_)
        if before is not None:
            end = np.full(over.size, np.iinfo(np.int64).min)
            np.maximum.at(end, number, rows.end)
            over = end < before
        whose, _ = rows.whose
        nobody = [place for place, owner in enumerate(owners) if owner is None]
        unowned = np.isin(whose, nobody)
        self.ownerless += int((unowned & over[number]).sum())
        done = Done([rows, *self._past], np.where(over[number] & ~unowned, number, -1))
        self._keep(rows, over[number])
        return done

    def _keep(self, rows: Rows, over: Bools) -> None:
        """Keep the rows that are not over, and those that overlap one of these."""
        parts = [rows.take(~over)] if not over.all() else []
        self._past = [part for part in (rows.take(over), *self._past) if parts and len(part)]
        self._parts, self._waiting = parts, sum(map(len, parts))
        if parts:
            since = parts[0].begin.min()
            self._past = [part.take(part.end >= since) for part in self._past]


class Done:
    """Teardowns that are done, n of them, in the order of their end.

    Attributes
    ----------
    begin, end, owner : ndarray of int64, shape (n,)
        ``owner`` is a place in ``owners``.
    """

    def __init__(self, parts: list[Rows], number: Int64) -> None:
        self._parts = parts
        rows = parts[0]
        whose, self.owners = rows.whose
        order = np.argsort(number, kind="stable")
        order = order[number[order] >= 0]
        _, first = np.unique(number[order], return_index=True)
        begin = np.minimum.reduceat(rows.begin[order], first) if first.size else first
        end = np.maximum.reduceat(rows.end[order], first) if first.size else first
        by_end = np.argsort(end, kind="stable")
        self.begin, self.end = begin[by_end], end[by_end]
        self.owner = whose[order[first]][by_end]
        edges = np.append(first, order.size)
        self._edges = edges[:-1][by_end], edges[1:][by_end]
        self._order = order

    def __len__(self) -> int:
        return int(self.begin.size)

    def __iter__(self) -> Iterator[Teardown]:
        return (self.teardown(place) for place in range(len(self)))

    def teardown(self, place: int) -> Teardown:
        """Return one of them, with all rows that overlap it."""
        low, high = (int(edge[place]) for edge in self._edges)
        owner = self.owners[int(self.owner[place])]
        if owner is None:
            raise ValueError("rows without an owner are in no teardown")
        return self._scene.teardown(owner, self._order[low:high])

    @cached_property
    def _scene(self) -> _Scene:
        return _Scene(self._parts)


class _Scene:
    """All rows in the order of their begin, of which each teardown sees what overlaps it."""

    def __init__(self, parts: list[Rows]) -> None:
        rows = Rows.joined(parts)
        order = rows.begin.argsort(kind="stable")
        self._place = np.empty(order.size, np.int64)
        self._place[order] = np.arange(order.size)
        self._rows = rows.take(order)
        self._reached = np.maximum.accumulate(self._rows.end)

    def teardown(self, owner: Owner, own: Int64) -> Teardown:
        """Return the teardown of the rows at some places of the first part."""
        places = self._place[own]
        begin, end = self._rows.begin[places].min(), self._rows.end[places].max()
        low = int(np.searchsorted(self._reached, begin))
        high = int(np.searchsorted(self._rows.begin, end, side="right"))
        mine = np.zeros(high - low, np.bool_)
        mine[places - low] = True
        return Teardown(owner, Rows(self._rows.batch.slice(low, high - low)), mine)


def _numbered(rows: Rows, gap_ns: int) -> tuple[Int64, list[Owner | None]]:
    whose, owners = rows.whose
    ends = ended_by(rows, whose, owners)
    return bursts(whose, rows.begin, rows.end, ends, gap_ns), owners


def ended_by(rows: Rows, whose: Int64, owners: Sequence[Owner | None]) -> Int64:
    """Return the namespace that each row ends, as a place in ``owners``; -1 for none."""
    kinds = np.array([0 if owner is None else 1 + (owner.kind == NAMESPACE) for owner in owners])
    kind = kinds[whose] if whose.size else whose
    exits = rows.is_one_of("origin", ["ns-exit"])
    return ended(rows.of("tid"), np.where(kind > 0, whose, -1), rows.begin, exits, kind > 1)
