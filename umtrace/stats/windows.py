"""EBUSY windows summed up, batch by batch, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.model.arrow import fixed, integers, mask
from umtrace.model.windows import AFTERWARDS, REFUSED
from umtrace.stats.columns import durations
from umtrace.stats.covered import Covered
from umtrace.stats.groups import encode

#: the columns that are summed up
TOTALLED = ("class", "spurious", "attempts", "begin", "duration_ns")
_LENGTH = "duration_ns"
#: the columns that the order of the longest takes
RANKED = ("class", "duration_ns", "first_success_ns", "held_max_ns")


class WindowTotals:
    """Number, attempts and time lost, by class and verdict."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, bool | None], list[int]] = {}
        self._busy = Covered()

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch]) -> WindowTotals:
        """Return the totals of some batches, which have at least the columns `TOTALLED`."""
        totals = cls()
        for batch in batches:
            totals.add(batch)
        return totals

    def add(self, batch: pa.RecordBatch) -> None:
        """Take windows into account."""
        classes, class_names = encode(batch.column("class"))
        verdicts, verdict_names = encode(batch.column("spurious"))
        group = classes * len(verdict_names) + verdicts
        attempts, lasted = durations(batch, "attempts"), durations(batch, _LENGTH)
        refused = np.array([name in REFUSED for name in class_names], np.bool_)[classes]
        self._busy.add(integers(batch.column("begin"))[refused], lasted[refused])
        for code in np.unique(group).tolist():
            mine = group == code
            klass, verdict = divmod(code, len(verdict_names))
            sums = self._sums.setdefault((class_names[klass], verdict_names[verdict]), [0, 0, 0])
            found = (np.count_nonzero(mine), attempts[mine].sum(), lasted[mine].sum())
            sums[:] = [old + int(new) for old, new in zip(sums, found, strict=True)]

    @property
    def busy_ns(self) -> int:
        """The time in windows in which a call got EBUSY; where some overlap, it counts once."""
        return self._busy.ns

    @property
    def n_refused(self) -> int:
        """How many windows there are in which a call got EBUSY."""
        return sum(sums[0] for (klass, _), sums in self._sums.items() if klass in REFUSED)

    def __len__(self) -> int:
        """Return how many windows there are, those after an umount that succeeded too."""
        return sum(windows for windows, _, _ in self._sums.values())

    def rows(self) -> list[dict[str, Any]]:
        """Return one entry per class and verdict, the most frequent first."""
        return [
            {
                "class": klass,
                "spurious": spurious,
                "windows": windows,
                "attempts": attempts,
                "duration_ns": lasted,
            }
            for (klass, spurious), (windows, attempts, lasted) in sorted(
                self._sums.items(), key=lambda item: -item[1][0]
            )
        ]


def longest(batches: Iterable[pa.RecordBatch], n: int) -> pa.RecordBatch | None:
    """Return the n windows whose mount was in use longest, the longest first.

    The order is that of `umtrace.model.windows.hold`, which tables show: at most so long; if that
    is not known, until the last call that said EBUSY. A retry that came late makes a window long,
    not the use. One without a known end comes last. None without any window.

    Parameters
    ----------
    batches : iterable of RecordBatch
        With at least the columns `RANKED`.
    """
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:  # a filter leaves such; a table of them alone has no batch
            continue
        kept.append(_longest(batch, n))
        if len(kept) > n:
            kept = [_longest(_joined(kept), n)]
    return _longest(_joined(kept), n) if kept else None


def _longest(batch: pa.RecordBatch, n: int) -> pa.RecordBatch:
    lasted = pc.if_else(_is_one_of(batch, AFTERWARDS), batch.column(_LENGTH), _in_use(batch))
    unknown = mask(lasted.is_null())
    order = np.lexsort((-np.maximum(integers(lasted), 0), unknown))[:n]
    return batch.take(fixed(order, pa.int64()))


def _in_use(batch: pa.RecordBatch) -> pa.Array:
    """Return for windows in which a call got EBUSY how long the mount was in use, ns."""
    lengths = (batch.column(name) for name in ("held_max_ns", "first_success_ns", _LENGTH))
    lasted = pc.coalesce(*lengths)
    return pc.if_else(_is_one_of(batch, ("downstream",)), pa.scalar(None, lasted.type), lasted)


def _is_one_of(batch: pa.RecordBatch, classes: Iterable[str]) -> pa.Array:
    names = pa.array(list(classes), pa.string())
    return pc.is_in(batch.column("class").cast(pa.string()), value_set=names)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
