"""Event streams for tests, built the way the kernel side would emit them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from umtrace.correlate.waits import Wait
from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, EventBatch, Kind, NameKind, OnStack

EBUSY = 16
MASK = 0xFFFFFFFF
NAMED = (Kind.ENTER, Kind.MOUNT)

#: what the kernel side finds on the stack for each class of wait
STACK_OF = {
    Wait.UNKNOWN: OnStack(0),
    Wait.OTHER: OnStack(0),
    Wait.RCU_EXPEDITED: OnStack.UNLOCK | OnStack.RCU,
    Wait.RCU_NORMAL: OnStack.UNLOCK | OnStack.RCU | OnStack.RCU_NORMAL,
    Wait.RCU_PIGGYBACK: OnStack.UNLOCK | OnStack.RCU | OnStack.FUNNEL,
    Wait.RCU_QUEUE: OnStack.UNLOCK | OnStack.RCU | OnStack.FUNNEL | OnStack.MUTEX,
    Wait.NAMESPACE_LOCK: OnStack.LOCK_TAKER,
    Wait.LOOKUP: OnStack.LOOKUP,
    Wait.SHUTDOWN: OnStack.TASK_WORK,
}


class Stream:
    """Collects events and names; times are given by the caller, in ns."""

    def __init__(self):
        self.events = []
        self.names = []

    def event(self, ts, tid, kind, *, ret=0, a=0, b=0, seq=0, comm=b"", cpu=0):
        self.events.append((ts, 0, tid, tid, kind, cpu, ret, a, b, seq, comm))
        return self

    def off_cpu(self, ts, tid, wait, seq):
        unknown = int(wait == Wait.UNKNOWN)
        return self.event(ts, tid, Kind.OFF_CPU, a=STACK_OF[wait], b=unknown, seq=seq)

    def path(self, ts, tid, text):
        parts = [text[i : i + 231] for i in range(0, max(len(text), 1), 231)]
        for index, part in enumerate(parts):
            more = index + 1 < len(parts)
            self.names.append((ts, tid, NameKind.PATH, index, len(part), more, part))
        return self

    def umount(self, tid, t0, *, waits=(), flags=0, ret=0, end=None, path=b"/mnt", dead=False):
        """One umount: ENTER, waits as (class, begin, end), EXIT, and its end.

        ``end`` is (exit time, return time); the second is left out for a failure. A wait whose
        end is None is one whose end the kernel never told: no number is missing.
        """
        exit_ts, return_ts = end or (t0 + 1000, t0 + 2000)
        self.path(t0, tid, path)
        self.event(t0, tid, Kind.ENTER, ret=flags, a=1, b=4026531840, seq=t0 & MASK, comm=b"umount")
        seq = (t0 & MASK) + 1
        for wait, begin, stop in waits:
            self.off_cpu(begin, tid, wait, seq)
            if stop is not None:
                self.event(stop, tid, Kind.ON_CPU, seq=seq + 1)
            seq += 1 if stop is None else 2
        if dead:
            return self.event(exit_ts, tid, Kind.DEAD, seq=seq)
        self.event(exit_ts, tid, Kind.EXIT, ret=ret, seq=seq)
        if ret >= 0:
            self.event(return_ts, tid, Kind.RETURNED, a=1, seq=seq + 1)
        return self

    def ns_exit(self, tid, t0, *, waits=((Wait.RCU_EXPEDITED, 10, 20),), n_mounts=3, dead=100):
        self.event(t0, tid, Kind.NS_EXIT, ret=n_mounts, a=1, b=77, seq=t0, comm=b"sh")
        seq = t0 + 1
        for wait, begin, stop in waits:
            self.off_cpu(t0 + begin, tid, wait, seq)
            self.event(t0 + stop, tid, Kind.ON_CPU, seq=seq + 1)
            seq += 2
        return self.event(t0 + dead, tid, Kind.DEAD, seq=seq)

    def batch(self):
        """Everything as one batch, in the order of time; ties stay in order of building."""
        events = np.array(self.events, EVENT_DTYPE)
        events = events[np.argsort(events["ts_ns"], kind="stable")]
        return EventBatch(events, np.array(self.names, NAME_DTYPE))


def split(batch, cuts):
    """Cut a batch at the given event positions; every name comes with its event's part."""
    edges = [0, *sorted(cuts), len(batch.events)]
    ends = []
    for begin, end in pairwise(edges):
        part = batch.events[begin:end]
        keys = {(int(e["tid"]), int(e["ts_ns"])) for e in part if e["kind"] in NAMED}
        mine = [(int(n["tid"]), int(n["ts_ns"])) in keys for n in batch.names]
        ends.append(EventBatch(part, batch.names[np.array(mine, bool)]))
    return ends
