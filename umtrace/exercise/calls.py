"""The log of umount2 calls: packed rows, so that a million of them stay small.

A row refers to a context (path, scenario, task) that most rows share.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls

#: t_start, latency_ns, tail_ns (-1: not known), context, flags, errno, n_mounts, retry
ROW: Final = struct.Struct("<qqqIiiiI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The task that calls, as a probe sees it."""

    pid: int
    tid: int
    comm: str
    mntns: int  #: inode number of its mount namespace

    @classmethod
    def current(cls) -> Actor:
        """Describe the calling task."""
        return cls(
            pid=os.getpid(),
            tid=threading.get_native_id(),
            comm=syscalls.get_comm(),
            mntns=Path("/proc/self/ns/mnt").stat().st_ino,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What many calls have in common."""

    path: str
    scenario: str
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class UmountCall:
    """One umount2 call; times in ns, `t_start` since the epoch."""

    path: str
    scenario: str
    mode: str  #: sync, or lazy where MNT_DETACH was given
    flags: int
    errno: int
    pid: int
    tid: int
    comm: str
    mntns: int
    t_start: int
    latency_ns: int  #: own clock around the call, deferred shutdown included
    tail_ns: int | None  #: from its return to the close of the file held in it; else null
    origin: str
    n_mounts: int  #: mounts taken down: 0 where the call failed
    retry: int  #: how many calls for the same mount failed before


def mode_of(flags: int) -> str:
    """Return the mode the Umount row gives to these flags."""
    return "lazy" if flags & syscalls.MNT_DETACH else "sync"


class CallLog:
    """Every umount2 call made, in the order logged."""

    def __init__(self) -> None:
        self.rows = bytearray()  #: packed as ROW, for those who want them in bulk
        self.contexts: list[Context] = []
        self._ids: dict[Context, int] = {}
        self._lock = threading.Lock()

    def context(self, path: str, scenario: str, actor: Actor) -> int:
        """Return the number of this context, adding it the first time."""
        context = Context(path=path, scenario=scenario, actor=actor)
        with self._lock:
            number = self._ids.setdefault(context, len(self.contexts))
            if number == len(self.contexts):
                self.contexts.append(context)
        return number

    def add(
        self,
        context: int,
        *,
        t_start: int,
        latency_ns: int,
        errno: int,
        flags: int = 0,
        n_mounts: int = 0,
        retry: int = 0,
        tail_ns: int | None = None,
    ) -> None:
        """Log one call."""
        tail = -1 if tail_ns is None else tail_ns
        row = ROW.pack(t_start, latency_ns, tail, context, flags, errno, n_mounts, retry)
        with self._lock:
            self.rows += row

    def end_tail(self, t_ns: int) -> None:
        """Say of the last call that the file held in its mount was closed at `t_ns`."""
        begin, latency, _tail, *rest = ROW.unpack(self.rows[-ROW.size :])
        self.rows[-ROW.size :] = ROW.pack(begin, latency, t_ns - begin - latency, *rest)

    def extend(self, rows: bytes) -> None:
        """Log rows packed elsewhere, in contexts of this log; half a row at the end is dropped."""
        self.rows += rows[: len(rows) - len(rows) % ROW.size]

    def __len__(self) -> int:
        return len(self.rows) // ROW.size

    def __iter__(self) -> Iterator[UmountCall]:
        for start, latency, tail, number, flags, errno, n_mounts, retry in self.raw():
            context = self.contexts[number]
            actor = context.actor
            yield UmountCall(
                path=context.path,
                scenario=context.scenario,
                mode=mode_of(flags),
                flags=flags,
                errno=errno,
                pid=actor.pid,
                tid=actor.tid,
                comm=actor.comm,
                mntns=actor.mntns,
                t_start=start,
                latency_ns=latency,
                tail_ns=None if tail < 0 else tail,
                origin="umount",
                n_mounts=n_mounts,
                retry=retry,
            )

    def raw(self) -> Iterator[tuple[int, ...]]:
        """Yield the rows as tuples, in the order of ROW."""
        yield from ROW.iter_unpack(self.rows)

    def append(self, call: UmountCall) -> None:
        """Log a call that was read back from a ledger."""
        actor = Actor(pid=call.pid, tid=call.tid, comm=call.comm, mntns=call.mntns)
        self.add(
            self.context(call.path, call.scenario, actor),
            t_start=call.t_start,
            latency_ns=call.latency_ns,
            errno=call.errno,
            flags=call.flags,
            n_mounts=call.n_mounts,
            retry=call.retry,
            tail_ns=call.tail_ns,
        )
