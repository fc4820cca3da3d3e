"""Umount rows, scans and evidence for tests; times in ms after T0."""

from __future__ import annotations

import itertools

from tests.stats.rows import T0_NS, batch_of, row
from umtrace.ebusy.detector import EbusyDetector
from umtrace.model.holders import Holder, HolderScan

MS = 1_000_000
EBUSY = 16
_ids = itertools.count()


def umount(at_ms, errno=0, took_ms=0.1, **given):
    """One umount row that began so many ms after T0."""
    values = {
        "id": next(_ids),
        "t_start": T0_NS + int(at_ms * MS),
        "latency_ns": int(took_ms * MS),
        "flags": 0,
        "path": "/mnt",
        "mntns": 7,
        "errno": errno,
        "tier": "tracepoint",
    }
    return row(**{**values, **given})


def busy(at_ms, **given):
    return umount(at_ms, EBUSY, **given)


def scan(of, at_ms, *holders, blind=(), mounted=True):
    """A look for the holders of a row."""
    begin = T0_NS + int(at_ms * MS)
    return HolderScan(
        umount_id=of["id"],
        path=of["path"] or "",
        begin_ns=begin,
        end_ns=begin + 14 * MS,
        mounted=mounted,
        dev="0:99",
        holders=holders,
        blind=blind,
        n_processes=12,
    )


def fd_of(pid=42, **given):
    return Holder(
        **{"kind": "fd", "pid": pid, "tid": pid, "comm": "nginx", "fd": 3, "detail": "/mnt/x"}
        | {"seen": 8, "looks": 8}
        | given
    )


def windows_of(rows, *, scans=(), evidence=None, cuts=(), **options):
    """Return the windows of rows, fed in the batches that the cuts make."""
    detector = EbusyDetector(**options)
    found = detector.add_scans(scans)
    edges = [0, *sorted(cuts), len(rows)]
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        extra = {"evidence": evidence} if evidence is not None and number == 0 else {}
        found += detector.feed(batch_of(rows[begin:end]), **extra)
    return found + detector.finish()


def one(rows, **options):
    """Return the only window."""
    (window,) = windows_of(rows, **options)
    return window
