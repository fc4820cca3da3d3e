"""Loads for tests: rows as a tier with function probes makes them."""

from __future__ import annotations

import numpy as np

from tests.stats.rows import T0_NS, batch_of, row
from umtrace.whatif.load import load_of

MS = 1_000_000


def umount(begin, *, tid=1, lookup=0, lock=0, tree=0, rcu=0, put=0, shutdown=0, **given):
    """Return a row; times in ns, the begin from that of the load."""
    values = {
        "t_start": T0_NS + begin,
        "tid": tid,
        "lookup_ns": lookup,
        "lock_ns": lock,
        "tree_ns": tree,
        "rcu_ns": rcu,
        "put_ns": put,
        "shutdown_ns": shutdown,
        "rcu_kind": "expedited" if rcu else "none",
        "n_mounts": 1,
        "n_legitimized": 0,
        "latency_ns": lookup + lock + tree + rcu + put + shutdown,
        **given,
    }
    return row(**values)


def load(*rows):
    """Return the load of rows."""
    return load_of([batch_of(rows)])


def lengths(*values):
    """Return lengths of grace periods."""
    return np.array(values, np.int64)
