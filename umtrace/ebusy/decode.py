"""Makes evidence of the events of the function tiers; the tracepoint tier has no such events."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from umtrace.model.events import (
    ARMING_SHIFT,
    FOREIGN,
    OPENERS,
    PUT_EARLIER,
    PUT_EXITING,
    PUT_FIRST_EXEC,
    PUT_SETTLED,
    PUT_WALKED,
    Array,
    Kind,
)
from umtrace.model.evidence import NO_EVIDENCE, Check, Evidence, Failure, Skip, Superblock, Walk

_NO_COUNT = 0xFFFFFFFFFFFFFFFF
_PLAIN_COUNT = 2
_MNT_DETACH = 2
_WALKS = {0: "legitimized", 1: "discounted", -1: "must-put"}
_OTHERS = {
    int(Kind.PUT): "put",
    int(Kind.CLEANUP_EXIT): "put",
    int(Kind.PATH_UMOUNT_EXIT): "returned",
    int(Kind.PATH_UMOUNT): "lazy",
}
_CALLS = {1: "exclusive claim", 2: "mount"}
_MAJOR_SHIFT, _MINOR_MASK = 20, 0xFFFFF  # dev_t inside the kernel
_MOST_DEVS = 4096
_SUPERBLOCK_KINDS = (Kind.CLEANUP, Kind.SHARED)


class EvidenceDecoder:
    """Reads event batches in their order; the split into batches makes no difference.

    A busy check without a count means a mount below only if other checks had a count, since
    ``mnt_get_count`` may not be probed.
    """

    def __init__(self) -> None:
        self._counted_ns: int | None = None  # the first check that had a count
        self._shared: dict[int, None] = {}  # superblocks that had references left

    def read(self, events: Array) -> Evidence:
        """Return the evidence in a batch of events, dtype EVENT_DTYPE, shape (n,)."""
        kinds = events["kind"]
        if not (kinds >= Kind.PATH_UMOUNT).any():
            return NO_EVIDENCE
        walked = (kinds == Kind.WALK) | (kinds == Kind.PUT) | _returned(events)
        put = (kinds == Kind.CLEANUP_EXIT) & ((events["cpu"] & FOREIGN) != 0)
        checks = self._checks(events[kinds == Kind.CHECKED])
        return Evidence(
            checks=checks,
            counted_ns=self._counted_ns,
            walks=tuple(_walk(event) for event in events[walked]),
            lazies=tuple(_walk(event) for event in events[_detaching(events)]),
            final_puts=tuple(_walk(event) for event in events[put]),
            superblocks=self._superblocks(events),
            failures=tuple(_failure(event) for event in events[kinds == Kind.FAILED]),
            skips=tuple(_skip(event) for event in events[kinds == Kind.SKIPPED]),
        )

    def _checks(self, events: Array) -> tuple[Check, ...]:
        counted = (events["a"] != _NO_COUNT) | (self._counted_ns is not None)
        known = np.logical_or.accumulate(counted) if events.size else counted
        if self._counted_ns is None and known.any():
            self._counted_ns = int(events["ts_ns"][np.argmax(known)])
        busy = np.flatnonzero(events["ret"] != 0)
        return tuple(_check(events[i], counts=bool(known[i])) for i in busy)

    def _superblocks(self, events: Array) -> tuple[Superblock, ...]:
        counted = np.isin(events["kind"], _SUPERBLOCK_KINDS)
        alive = counted & (events["a"] > 1)
        for dev in np.unique(events["b"][alive]).tolist():
            self._shared[dev] = None
        while len(self._shared) > _MOST_DEVS:
            del self._shared[next(iter(self._shared))]
        if not self._shared:
            return ()
        followed = alive | (counted & np.isin(events["b"], list(self._shared)))
        followed &= ~_followed_by_another(events, followed)
        return tuple(_superblock(event) for event in events[followed])


def _followed_by_another(events: Array, followed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which counts of a superblock are superseded by the next one of the same operation.

    An umount of a thousand mounts of one file system counts its superblock a thousand times.
    """
    opens = np.isin(events["kind"], OPENERS)
    at = np.flatnonzero(followed | opens)
    at = at[np.argsort(events["tid"][at], kind="stable")]
    part = np.cumsum(opens[at])  # a number for each operation of a task, and for events in none
    at, part = at[followed[at]], part[followed[at]]
    order = np.lexsort((events["b"][at], part, events["tid"][at]))
    at, part = at[order], part[order]
    tid, dev, alive = events["tid"][at], events["b"][at], events["a"][at] > 1
    said_again = np.zeros(len(events), np.bool_)
    same = (tid[1:] == tid[:-1]) & (dev[1:] == dev[:-1]) & (part[1:] == part[:-1])
    plain = events["kind"][at] == Kind.CLEANUP
    said_again[at[:-1]] = same & plain[:-1] & alive[:-1] & alive[1:]
    return said_again


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


def _returned(events: Array) -> npt.NDArray[np.bool_]:
    """Return which events are the return of an umount with evidence about a busy mount."""
    returned: npt.NDArray[np.bool_] = (events["b"] > 0) | (events["a"] > 0)
    returned &= events["kind"] == Kind.PATH_UMOUNT_EXIT
    return returned


def _detaching(events: Array) -> npt.NDArray[np.bool_]:
    lazy: npt.NDArray[np.bool_] = (events["ret"] & _MNT_DETACH) != 0
    lazy &= (events["kind"] == Kind.PATH_UMOUNT) & (events["mnt"] != 0)
    return lazy


def _walk(event: np.void) -> Walk:
    kind, flags = event["kind"], int(event["a"])
    what = _OTHERS.get(int(kind)) or _WALKS.get(int(event["ret"]), "discounted")
    put, returned = kind == Kind.PUT, kind == Kind.PATH_UMOUNT_EXIT
    return Walk(
        ts_ns=int(event["ts_ns"]),
        tid=int(event["tid"]),
        comm=_comm(event),
        mnt=int(event["mnt"]),
        what=what,
        pid=int(event["tgid"]),
        left=int(event["b"]) - 1 if (put or returned) and event["b"] > 0 else None,
        earlier=bool(put and flags & PUT_EARLIER),
        settled=bool((put and flags & PUT_SETTLED) or (returned and flags & 1)),
        syscall=_syscall(int(event["ret"])) if put else None,
        arming=(flags >> ARMING_SHIFT or None) if put or returned else None,
        walked=bool(put and flags & PUT_WALKED),
        exiting=bool(put and flags & PUT_EXITING),
        first_exec=bool(put and flags & PUT_FIRST_EXEC),
        parent=(int(event["seq"]) or None) if put else None,
    )


def _syscall(number_plus_1: int) -> int | None:
    if number_plus_1 < 0:  # in none, or on the way back from one
        return -1
    return number_plus_1 - 1 if number_plus_1 > 0 else None


def _comm(event: np.void) -> str:
    return bytes(event["comm"]).decode("utf-8", "backslashreplace")


def _dev(event: np.void) -> str:
    dev = int(event["b"])
    return f"{dev >> _MAJOR_SHIFT}:{dev & _MINOR_MASK}"


def _superblock(event: np.void) -> Superblock:
    namespaces: tuple[int, ...] = ()
    if event["kind"] == Kind.SHARED:
        words = bytes(event["comm"]).ljust(16, b"\0")  # numpy drops the zeros at the end
        namespaces = tuple(inum for inum in struct.unpack("<4I", words) if inum)
    return Superblock(
        ts_ns=int(event["ts_ns"]),
        tid=int(event["tid"]),
        dev=_dev(event),
        active=int(event["a"]),
        mntns=namespaces,
    )


def _skip(event: np.void) -> Skip:
    return Skip(int(event["a"]), int(event["ts_ns"]))


def _failure(event: np.void) -> Failure:
    return Failure(
        ts_ns=int(event["ts_ns"]),
        tid=int(event["tid"]),
        comm=_comm(event),
        syscall=_CALLS.get(int(event["a"]), "a call"),
        dev=_dev(event),
        errno=-int(event["ret"]),
    )
