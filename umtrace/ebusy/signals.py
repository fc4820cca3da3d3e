"""From the events of the function tiers to clues; the tracepoint tier has none of them."""

from __future__ import annotations

import numpy as np

from umtrace.records.clues import NO_CLUES, Check, Clues, Superblock, Walk
from umtrace.records.events import FOREIGN, Array, Kind

_NO_COUNT = 0xFFFFFFFFFFFFFFFF
_PLAIN_COUNT = 2
_WALKS = {0: "legitimized", 1: "discounted", -1: "must-put"}
_MAJOR_SHIFT, _MINOR_MASK = 20, 0xFFFFF  # dev_t inside the kernel
_MOST_DEVS = 4096


class ClueReader:
    """Reads event batches in their order; the split into batches makes no difference.

    A busy check without a count means a mount below only where other checks were counted:
    ``mnt_get_count`` may not be probed.
    """

    def __init__(self) -> None:
        self._counts = False
        self._shared: dict[int, None] = {}  # superblocks seen with references left

    def read(self, events: Array) -> Clues:
        """Return the clues in a batch of events, dtype EVENT_DTYPE, shape (n,)."""
        kinds = events["kind"]
        if not (kinds >= Kind.CHECKED).any():
            return NO_CLUES
        walked = (kinds == Kind.WALK) | (kinds == Kind.PUT)
        put = (kinds == Kind.CLEANUP_EXIT) & ((events["cpu"] & FOREIGN) != 0)
        return Clues(
            checks=self._checks(events[kinds == Kind.CHECKED]),
            walks=tuple(_walk(event) for event in events[walked]),
            final_puts=tuple(_walk(event) for event in events[put]),
            superblocks=self._superblocks(events[kinds == Kind.CLEANUP]),
        )

    def _checks(self, events: Array) -> tuple[Check, ...]:
        counted = (events["a"] != _NO_COUNT) | self._counts
        known = np.logical_or.accumulate(counted) if events.size else counted
        if events.size:
            self._counts = bool(known[-1])
        busy = np.flatnonzero(events["ret"] != 0)
        return tuple(_check(events[i], counts=bool(known[i])) for i in busy)

    def _superblocks(self, events: Array) -> tuple[Superblock, ...]:
        alive = events["a"] > 1
        for dev in np.unique(events["b"][alive]).tolist():
            self._shared[dev] = None
        while len(self._shared) > _MOST_DEVS:
            del self._shared[next(iter(self._shared))]
        if not self._shared:
            return ()
        followed = alive | np.isin(events["b"], list(self._shared))
        return tuple(_superblock(event) for event in events[followed])


def _check(event: np.void, *, counts: bool) -> Check:
    count = int(event["a"])
    refcount = None if count == _NO_COUNT else count
    copy_ns = int(event["b"]) or None
    site = "unknown"
    if copy_ns is not None or (refcount is not None and refcount <= _PLAIN_COUNT):
        site = "copy"
    elif refcount is not None:
        site = "refcount"
    elif counts:
        site = "submount"
    return Check(
        ts_ns=int(event["ts_ns"]),
        tid=int(event["tid"]),
        mnt=int(event["mnt"]),
        site=site,
        refcount=refcount,
        mntns=copy_ns,
    )


def _walk(event: np.void) -> Walk:
    what = "put" if event["kind"] != Kind.WALK else _WALKS.get(int(event["ret"]), "discounted")
    comm = bytes(event["comm"]).decode("utf-8", "backslashreplace")
    return Walk(int(event["ts_ns"]), int(event["tid"]), comm, int(event["mnt"]), what)


def _superblock(event: np.void) -> Superblock:
    dev = int(event["b"])
    return Superblock(
        ts_ns=int(event["ts_ns"]),
        tid=int(event["tid"]),
        dev=f"{dev >> _MAJOR_SHIFT}:{dev & _MINOR_MASK}",
        active=int(event["a"]),
    )
