"""Where the phases of an umount are drawn: their durations are measured, their places not.

A row knows how long each phase took, and not when it began. The phases follow one
another in one order, so they are laid end to end in it; what is left over comes before
the file system's shutdown, which is always last.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from umtrace.stats.buckets import Int64
from umtrace.stats.columns import durations
from umtrace.stats.summarize import LATENCY

#: the order in which the phases are laid out
PLACED = ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "other_ns", "shutdown_ns")
COLUMNS = (LATENCY, *PLACED)


def place(batch: pa.RecordBatch) -> tuple[Int64, Int64]:
    """Return (begins, ends) of the phases, ns after the begin of their row.

    Parameters
    ----------
    batch : RecordBatch
        With the columns `COLUMNS`.

    Returns
    -------
    begins, ends : ndarray of int64, shape (len(PLACED), batch.num_rows)
        An unknown phase is empty. Nothing reaches beyond the row's latency.
    """
    latency = durations(batch, LATENCY)
    lengths = np.stack([durations(batch, name) for name in PLACED])
    ends = np.minimum(np.cumsum(lengths, axis=0), latency)
    begins = np.concatenate([np.zeros((1, batch.num_rows), np.int64), ends[:-1]])
    shutdown = np.minimum(lengths[-1], latency)
    # Where the phases do not add up to the latency, the gap is before the shutdown.
    begins[-1], ends[-1] = latency - shutdown, latency
    np.minimum(ends[:-1], begins[-1], out=ends[:-1])
    np.minimum(begins[:-1], begins[-1], out=begins[:-1])
    return begins, ends
