"""Builders of umount rows for tests: what is not said is null."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from umtrace.model.umounts import PHASES, SCHEMA

T0_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00:00 UTC


def row(**given):
    """Return a row as mapping: a complete, successful sync umount unless told otherwise.

    `latency_ns` is the sum of the phases unless given.
    """
    known = [given[name] for name in PHASES if given.get(name) is not None]
    values = {
        "latency_bound": "exact",
        "origin": "umount",
        "mode": "sync",
        "errno": 0,
        "pid": 100,
        "tid": 100,
        "comm": "umount",
        "fstype": "tmpfs",
        "tier": "fentry",
        "complete": True,
        "latency_ns": sum(known) if known else None,
    }
    return dict.fromkeys(SCHEMA.names) | values | given


def batch_of(rows):
    """Return rows as one record batch with the schema of a recording."""
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def container_host(n=200, seed=7):
    """Return n rows of a busy container host: sync and lazy, some EBUSY, ms-scale RCU waits.

    The lock and put phases are never seen; a tenth of the sync umounts is busy.
    """
    rng = np.random.default_rng(seed)
    return [_container_umount(rng, number) for number in range(n)]


def _container_umount(rng, number):
    lazy = bool(rng.random() < 0.3)
    busy = not lazy and bool(rng.random() < 0.1)
    shutdown = 0 if busy or lazy else int(rng.lognormal(12.5, 1.2))
    return row(
        id=number,
        t_start=T0_NS + number * 50_000_000 + int(rng.integers(10_000_000)),
        mode="lazy" if lazy else "sync",
        errno=16 if busy else 0,
        comm="runc" if lazy else "umount",
        container=f"{int(rng.integers(3)):x}" * 64,
        fstype="overlay" if lazy else "tmpfs",
        lookup_ns=int(rng.lognormal(8, 0.5)),
        tree_ns=int(rng.lognormal(7.5, 0.4)),
        rcu_ns=0 if busy else int(rng.lognormal(13.5, 0.8)),
        shutdown_ns=shutdown,
        other_ns=int(rng.lognormal(8.5, 0.6)),
        rcu_kind="none" if busy else "expedited",
    )
