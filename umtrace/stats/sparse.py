"""Counts by key as two sorted arrays: the storage that all histograms share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from umtrace.stats.buckets import Int64

# Up to here counting into one dense array beats sorting the keys.
_DENSE_LIMIT = 1 << 20


class Counts(NamedTuple):
    """How often each key was seen.

    Attributes
    ----------
    keys : ndarray of int64, shape (n,)
        Strictly increasing, non-negative.
    counts : ndarray of int64, shape (n,)
        At least 1 each.
    """

    keys: Int64
    counts: Int64


def no_counts() -> Counts:
    """Return counts of nothing."""
    return Counts(np.empty(0, np.int64), np.empty(0, np.int64))


def count(keys: Int64, bound: int) -> Counts:
    """Count equal keys; every key is in ``range(bound)``, in any order."""
    if bound <= _DENSE_LIMIT:
        dense = np.bincount(keys, minlength=0)
        seen = np.flatnonzero(dense)
        return Counts(seen.astype(np.int64), dense[seen].astype(np.int64))
    unique, counts = np.unique(keys, return_counts=True)
    return Counts(unique, counts.astype(np.int64))


def add_up(runs: Sequence[Counts]) -> Counts:
    """Add counts key by key; exact, in any order and grouping."""
    runs = [run for run in runs if run.keys.size]
    if len(runs) <= 1:
        return runs[0] if runs else no_counts()
    keys = np.concatenate([run.keys for run in runs])
    counts = np.concatenate([run.counts for run in runs])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return Counts(keys[first], np.add.reduceat(counts[order], first))
