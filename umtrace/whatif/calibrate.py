"""The length of normal grace periods on the host of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.whatif.load import Load

#: fewer of them say nothing about the distribution
LEAST = 5

ASSUMED, WAITED, MEASURED = "assumed", "recorded waits", "membarrier(2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths of normal grace periods, ns, shape (m,); None is unknown.

    ``by`` is how they are known: `ASSUMED`, `WAITED`, `MEASURED`, or empty.
    """

    ns: Int64 | None = None
    by: str = ""


def lengths_of(load: Load, assumed: Int64 | None, measured: Int64 | None) -> Lengths:
    """Return the lengths to simulate with: those assumed, or of the load, or measured beside it."""
    if assumed is not None and assumed.size:
        return Lengths(ns=assumed, by=ASSUMED)
    if (waited := recorded_lengths(load)) is not None:
        return Lengths(ns=waited, by=WAITED)
    if measured is not None and measured.size >= LEAST:
        return Lengths(ns=measured, by=MEASURED)
    return Lengths()


def recorded_lengths(load: Load) -> Int64 | None:
    """Return the lengths of normal grace periods that a load shows, ns; None if it shows too few.

    A normal grace period that nobody else waited for began as it was asked for, so the wait is its
    length, shape (m,).
    """
    normal = np.flatnonzero(load.normal & load.waited)
    if normal.size < LEAST:
        return None
    began = load.begin + load.before + load.hold
    start, end = began[normal], (began + load.rcu)[normal]
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    earlier = np.concatenate(([np.int64(-1)], np.maximum.accumulate(end)[:-1]))
    later = np.concatenate((start[1:], [np.iinfo(np.int64).max]))
    lone = (start >= earlier) & (end <= later)
    lengths: Int64 = (end - start)[lone]
    return lengths if lengths.size >= LEAST else None
