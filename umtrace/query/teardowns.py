"""The teardowns of a recording, read batch by batch."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from umtrace.query.selection import Selection
from umtrace.teardowns import COLUMNS, GAP_NS, Collector, Counting, Found, Owner, Rows, Teardown

_EARLIER_NS = 1_000_000_000  # what has the lock as a teardown begins may have begun before it
_MOST_OTHERS = 1 << 14


class Teardowns:
    """Counts the teardowns of a selection, and finds the longest; the rows may come from elsewhere.

    Parameters
    ----------
    keep : int
        How many of the longest are found.

    Attributes
    ----------
    count : int
        How many there were so far. Their numbers begin with 1, in the order of their end.
    by_kind : Counter
        How many there were of each kind of owner.
    """

    columns = Counting.columns

    def __init__(self, keep: int = 3, gap_ns: int = GAP_NS) -> None:
        self._keep = keep
        self.count = 0
        self.by_kind: Counter[str] = Counter()
        self.counting = Counting(gap_ns)
        self._heap: list[tuple[int, int, int, int, int]] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows with at least ``columns``."""
        for found in self.counting.add(rows):
            self._note(found)

    def finish(self) -> Teardowns:
        """Take note that there are no more rows."""
        for found in self.counting.finish():
            self._note(found)
        return self

    def longest(self, selection: Selection) -> list[tuple[int, Teardown]]:
        """Return (number, teardown) of the longest, the longest first; reads their rows again."""
        read = (
            (-number, _read(selection, self.counting.owners[owner], begin, end))
            for _, number, begin, end, owner in sorted(self._heap)[::-1]
        )
        return [(number, each) for number, each in read if each is not None]

    def _note(self, found: Found) -> None:
        counted = np.bincount(found.owner, minlength=len(self.counting.owners)).tolist()
        for owner, number in zip(self.counting.owners, counted, strict=True):
            self.by_kind.update({owner.kind: number} if number else {})
        lasted = found.end - found.begin
        for place in np.argsort(-lasted, kind="stable")[: self._keep].tolist():
            what = (int(column[place]) for column in (found.begin, found.end, found.owner))
            item = (int(lasted[place]), -(self.count + place + 1), *what)
            push = heapq.heappush if len(self._heap) < self._keep else heapq.heappushpop
            push(self._heap, item)
        self.count += lasted.size


def _read(selection: Selection, owner: Owner, begin: int, end: int) -> Teardown | None:
    """Read a teardown whose owner, begin and end are known, and what overlaps it.

    Where very many umounts of others overlap it, none of them is read.
    """
    since = max(begin - _EARLIER_NS, selection.span[0] or 0)
    own: list[Rows] = []
    others: list[Rows] = []
    too_many = False
    for batch in selection.within((since, end + 1)).batches(COLUMNS):
        rows, _ = Rows.of_batch(batch)
        codes, found = rows.whose
        same = [n for n, each in enumerate(found) if each and each.is_same(owner)]
        mine = np.isin(codes, same) & (rows.begin >= begin) & (rows.end <= end)
        own.append(rows.take(mine))
        if not too_many:
            others.append(rows.take(~mine & (rows.end >= begin)))
        too_many = too_many or sum(map(len, others)) > _MOST_OTHERS
        others = [] if too_many else others
    counts = sum(map(len, own)), sum(map(len, others))
    if not counts[0]:
        return None
    scene = Rows.joined([*own, *others])
    return Teardown(owner, scene, np.arange(len(scene)) < counts[0])


def each_teardown(
    selection: Selection, gap_ns: int = GAP_NS, collector: Collector | None = None
) -> Iterator[Teardown]:
    """Yield the teardowns of the selected rows, in the order of their end."""
    found = collector or Collector(gap_ns)
    for rows in selection.batches(COLUMNS):
        for done in found.add(rows):
            yield from done
    for done in found.finish():
        yield from done


def matching(selection: Selection, wanted: str, gap_ns: int = GAP_NS) -> list[tuple[int, Teardown]]:
    """Return (number, teardown) of owners whose name or id begins so, or with a number."""
    numbered = enumerate(each_teardown(selection, gap_ns), 1)
    found = [
        (number, each)
        for number, each in numbered
        if wanted == str(number) or each.owner.is_called(wanted)
    ]
    exact = [each for each in found if wanted == str(each[0])]
    return exact or found
