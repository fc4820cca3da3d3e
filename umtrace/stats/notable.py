"""What is worth a line of its own in a report, counted batch by batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from errno import EBUSY

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import integers
from umtrace.stats.buckets import Int64
from umtrace.stats.columns import durations
from umtrace.stats.groups import encode
from umtrace.stats.summarize import LATENCY, RCU

#: the columns that are read
COUNTED = ("id", "origin", "comm", "path", "errno", LATENCY, RCU, "rcu_kind")
_IDS = 8
_NAMES = 1 << 10


@dataclass
class Tally:
    """Some rows: how many, the time they took, the ids of the first, and how many by comm."""

    count: int = 0
    spent_ns: int = 0
    ids: list[int] = field(default_factory=list)
    by_comm: Counter[str] = field(default_factory=Counter)

    def add(self, batch: pa.RecordBatch, which: np.ndarray, spent: np.ndarray) -> None:
        """Take rows of a batch into account; ``spent`` is the time of each row of the batch."""
        places = np.flatnonzero(which)
        if not places.size:
            return
        self.count += places.size
        self.spent_ns += int(spent[places].sum())
        room = _IDS - len(self.ids)
        self.ids += integers(batch.column("id"), -1)[places[: max(room, 0)]].tolist()
        codes, names = encode(batch.column("comm"))
        counted = np.bincount(codes[places], minlength=len(names)).tolist()
        found = {n: c for n, c in zip(names, counted, strict=True) if n is not None and c}
        if len(self.by_comm) < _NAMES:
            self.by_comm.update(found)


@dataclass(frozen=True, slots=True)
class Slowest:
    """The umount with the largest latency; ``path`` None is unknown."""

    latency_ns: int
    path: str | None


class Notable:
    """Counts over umount rows.

    Attributes
    ----------
    failed_mounts : Tally
        Mounts that failed and waited for a grace period, with that wait.
    normal : Tally
        Umounts that waited for a normal grace period, with that wait.
    waited : int
        Umounts that are known to have waited for a grace period.
    latency_ns : int or None
        Sum of all latencies; None where that of any row is unknown.
    slowest : Slowest or None
        Of the umounts that are not known to have failed; None without a latency of one.
    failures : Counter of (int, str or None)
        Umounts that failed with another errno than EBUSY, by errno and path.
    """

    def __init__(self) -> None:
        self.failed_mounts, self.normal = Tally(), Tally()
        self.waited = 0
        self.latency_ns: int | None = 0
        self.slowest: Slowest | None = None
        self.failures: Counter[tuple[int, str | None]] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch with at least the columns `COUNTED`."""
        rcu, latency = durations(batch, RCU), integers(batch.column(LATENCY), -1)
        self.waited += int((rcu > 0).sum())
        self.failed_mounts.add(batch, _is(batch, "origin", "failed-mount") & (rcu > 0), rcu)
        self.normal.add(batch, _is(batch, "rcu_kind", "normal") & (rcu > 0), rcu)
        if self.latency_ns is not None:
            known = not (latency < 0).any()
            self.latency_ns = self.latency_ns + int(latency.sum()) if known else None
        errnos = integers(batch.column("errno"))
        self._note_slowest(batch, np.where(errnos == 0, latency, -1))
        self._note_failures(batch, errnos)

    def _note_slowest(self, batch: pa.RecordBatch, latency: Int64) -> None:
        most = int(latency.max(initial=-1))
        if most > (self.slowest.latency_ns if self.slowest else -1):
            path = batch.column("path")[int(latency.argmax())].as_py()
            self.slowest = Slowest(most, path)

    def _note_failures(self, batch: pa.RecordBatch, errnos: Int64) -> None:
        failed = np.flatnonzero((errnos != 0) & (errnos != EBUSY))
        if not failed.size or len(self.failures) >= _NAMES:
            return
        codes, paths = encode(batch.column("path"))
        pairs = np.stack([errnos[failed], codes[failed]], axis=1)
        found, counted = np.unique(pairs, axis=0, return_counts=True)
        for (number, code), many in zip(found.tolist(), counted.tolist(), strict=True):
            self.failures[number, paths[code]] += many


def _is(batch: pa.RecordBatch, column: str, value: str) -> np.ndarray:
    codes, values = encode(batch.column(column))
    return codes == values.index(value) if value in values else np.zeros(codes.size, np.bool_)
