"""What is worth a line of its own in a report, counted batch by batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import integers
from umtrace.stats.columns import durations
from umtrace.stats.groups import encode
from umtrace.stats.summarize import LATENCY, RCU

#: the columns that are read
COUNTED = ("id", "origin", "comm", LATENCY, RCU, "rcu_kind")
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
    """

    def __init__(self) -> None:
        self.failed_mounts, self.normal = Tally(), Tally()
        self.waited = 0
        self.latency_ns: int | None = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch with at least the columns `COUNTED`."""
        rcu, latency = durations(batch, RCU), integers(batch.column(LATENCY), -1)
        self.waited += int((rcu > 0).sum())
        self.failed_mounts.add(batch, _is(batch, "origin", "failed-mount") & (rcu > 0), rcu)
        self.normal.add(batch, _is(batch, "rcu_kind", "normal") & (rcu > 0), rcu)
        if self.latency_ns is not None:
            known = not (latency < 0).any()
            self.latency_ns = self.latency_ns + int(latency.sum()) if known else None


def _is(batch: pa.RecordBatch, column: str, value: str) -> np.ndarray:
    codes, values = encode(batch.column(column))
    return codes == values.index(value) if value in values else np.zeros(codes.size, np.bool_)
