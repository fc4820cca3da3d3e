"""What a survey counts: exact sums of rows, which add up over batches and hosts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import Bools, integers
from umtrace.stats.buckets import Int64
from umtrace.stats.groups import encode
from umtrace.stats.histogram import Histogram
from umtrace.stats.totals import exact_sum

#: kinds of umounts, in the order of the survey
SYNC, LAZY, NAMESPACE, OTHER = "sync", "lazy", "namespace end", "other"
KINDS = (SYNC, LAZY, NAMESPACE, OTHER)

#: the columns of the rows that are read
COLUMNS = (
    "latency_ns",
    "origin",
    "mode",
    "errno",
    "n_mounts",
    "n_held",
    "rcu_ns",
    "rcu_kind",
    "complete",
)


@dataclass(slots=True)
class Held:
    """Umounts that succeeded: how many, of how many n_held is known, and where it is not 0."""

    umounts: int = 0
    known: int = 0
    held: int = 0

    def __add__(self, other: Held) -> Held:
        """Add up."""
        return Held(self.umounts + other.umounts, self.known + other.known, self.held + other.held)


@dataclass(slots=True, kw_only=True)
class Counts:
    """The sums of a survey.

    Attributes
    ----------
    held : dict of str to Held
        By kind of umount, only those that succeeded.
    failed, unfinished : int
        Umounts that failed; those whose outcome is unknown.
    victims, rcu, latency : Histogram
        Mounts an umount; ns of the RCU wait, and of the umount. Of those that succeeded, where
        the value is known.
    rcu_kinds : Counter of str
        Kinds of grace periods of those that succeeded; without those that are unknown.
    rcu_ns, latency_ns : int
        Sums over the umounts in which both are known.
    sync_rcu_ns : int
        The part of ``rcu_ns`` of umounts that are not lazy.
    known_rcu_ns, held_rcu_ns : int
        RCU waits of umounts whose n_held is known, and of those where it is not 0.
    """

    held: dict[str, Held] = field(default_factory=lambda: {kind: Held() for kind in KINDS})
    failed: int = 0
    unfinished: int = 0
    victims: Histogram = field(default_factory=Histogram)
    rcu: Histogram = field(default_factory=Histogram)
    latency: Histogram = field(default_factory=Histogram)
    rcu_kinds: Counter[str] = field(default_factory=Counter)
    rcu_ns: int = 0
    latency_ns: int = 0
    sync_rcu_ns: int = 0
    known_rcu_ns: int = 0
    held_rcu_ns: int = 0

    @property
    def all_held(self) -> Held:
        """All kinds together."""
        total = Held()
        for each in self.held.values():
            total += each
        return total

    @property
    def umounts(self) -> int:
        """All umounts, whatever came of them."""
        return self.all_held.umounts + self.failed + self.unfinished

    def add(self, rows: pa.RecordBatch) -> None:
        """Count the rows of a batch, which has at least `COLUMNS`."""
        outcome = integers(rows.column("errno"), null=-1)
        self.failed += int(np.count_nonzero(outcome > 0))
        self.unfinished += int(np.count_nonzero(outcome < 0))
        done = rows.filter(pa.array(outcome == 0))
        if not done.num_rows:
            return
        lazy = self._add_held(done)
        self._add_times(done, lazy)

    def _add_held(self, rows: pa.RecordBatch) -> Bools:
        """Count who held victims, kind by kind; return which rows are lazy."""
        kinds, n_held = _kinds(rows), _known(rows, "n_held")
        for number, kind in enumerate(KINDS):
            of_kind = kinds == number
            self.held[kind] += Held(
                int(np.count_nonzero(of_kind)),
                int(np.count_nonzero(of_kind & (n_held >= 0))),
                int(np.count_nonzero(of_kind & (n_held > 0))),
            )
        lazy: Bools = kinds == KINDS.index(LAZY)
        return lazy

    def _add_times(self, rows: pa.RecordBatch, lazy: Bools) -> None:
        victims, n_held = _known(rows, "n_mounts"), _known(rows, "n_held")
        rcu, latency = _known(rows, "rcu_ns"), _known(rows, "latency_ns")
        self.victims.add(victims[victims >= 0])
        self.rcu.add(rcu[rcu >= 0])
        self.latency.add(latency[latency >= 0])
        codes, names = encode(rows.column("rcu_kind"))
        numbers = np.bincount(codes, minlength=len(names)).tolist()
        self.rcu_kinds.update({n: k for n, k in zip(names, numbers, strict=True) if n and k})
        both = (rcu >= 0) & (latency >= 0)
        self.rcu_ns += exact_sum(rcu[both])
        self.latency_ns += exact_sum(latency[both])
        self.sync_rcu_ns += exact_sum(rcu[both & ~lazy])
        self.known_rcu_ns += exact_sum(rcu[(rcu >= 0) & (n_held >= 0)])
        self.held_rcu_ns += exact_sum(rcu[(rcu >= 0) & (n_held > 0)])


def _known(rows: pa.RecordBatch, name: str) -> Int64:
    """Return a column of counts or ns, -1 for null."""
    return integers(rows.column(name), null=-1)


def _kinds(rows: pa.RecordBatch) -> Int64:
    """Return the place of each row's kind in `KINDS`."""
    origins, origin_names = encode(rows.column("origin"))
    modes, mode_names = encode(rows.column("mode"))
    by_origin = np.array([_kind_of(name) for name in origin_names], np.int64)[origins]
    is_lazy = np.array([name == "lazy" for name in mode_names], np.bool_)[modes]
    lazy = (by_origin == KINDS.index(SYNC)) & is_lazy
    return np.where(lazy, KINDS.index(LAZY), by_origin)


def _kind_of(origin: str | None) -> int:
    if origin == "umount":
        return KINDS.index(SYNC)
    return KINDS.index(NAMESPACE if origin == "ns-exit" else OTHER)
