"""The teardowns of a recording, read batch by batch."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from umtrace.query.selection import Selection
from umtrace.teardowns import COLUMNS, GAP_NS, GROUPED, Collector, Done, Teardown

_EARLIER_NS = 1_000_000_000  # what has the lock as a teardown begins may have begun before it


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

    columns = GROUPED

    def __init__(self, keep: int = 3, gap_ns: int = GAP_NS) -> None:
        self._keep, self._gap_ns = keep, gap_ns
        self.count = 0
        self.by_kind: Counter[str] = Counter()
        self.collector = Collector(gap_ns, columns=GROUPED)
        self._heap: list[tuple[int, int, int, int]] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows with at least ``columns``."""
        for done in self.collector.add(rows):
            self._note(done)

    def finish(self) -> Teardowns:
        """Take note that there are no more rows."""
        for done in self.collector.finish():
            self._note(done)
        return self

    def longest(self, selection: Selection) -> list[tuple[int, Teardown]]:
        """Return (number, teardown) of the longest, the longest first; reads their rows again."""
        found = ((self._again(selection, *item[2:]), -item[1]) for item in sorted(self._heap)[::-1])
        return [(number, each) for each, number in found if each is not None]

    def _note(self, done: Done) -> None:
        counted = np.bincount(done.owner, minlength=len(done.owners)).tolist()
        kinds = [owner.kind if owner else "" for owner in done.owners]
        for kind, number in zip(kinds, counted, strict=True):
            self.by_kind.update({kind: number} if number else {})
        lasted = done.end - done.begin
        for place in np.argsort(-lasted, kind="stable")[: self._keep].tolist():
            begin, end = int(done.begin[place]), int(done.end[place])
            item = (int(lasted[place]), -(self.count + place + 1), begin, end)
            push = heapq.heappush if len(self._heap) < self._keep else heapq.heappushpop
            push(self._heap, item)
        self.count += len(done)

    def _again(self, selection: Selection, begin: int, end: int) -> Teardown | None:
        since = max(begin - _EARLIER_NS, selection.span[0] or 0)
        near = selection.within((since, end + 1))
        same = (
            each
            for each in each_teardown(near, self._gap_ns)
            if (each.begin, each.end) == (begin, end)
        )
        return next(same, None)


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
