"""Holds operations back until it is known who dropped the last reference to their mount.

After a lazy umount, or when somebody stole the final put, another task runs
cleanup_mnt() some time after the umount has returned. Such an operation waits here
for that event, at most HOLD_NS of event time; then its row says ``pending``.
"""

from __future__ import annotations

import numpy as np

from umtrace.correlate.cut import I8, Bools, times_of
from umtrace.correlate.operations import lost_events
from umtrace.correlate.table import Ops
from umtrace.model.events import Array, Kind

HOLD_NS = 5_000_000_000
_LATEST = 2**63 - 1
_MAX_EARLY = 4096
_SEEN, _HELD, _LATE = range(3)  # what comes first at one position
_DYING = 0x0B000000  # MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3


class TailKeeper:
    """Joins the events of foreign tasks to operations by the address of the mount."""

    def __init__(self) -> None:
        self._held = Ops()
        self._settled = np.zeros(0, np.bool_)  # which of the held need no more
        self._of: dict[int, list[int]] = {}  # mount put in this batch -> which of the held
        self._early: dict[int, tuple[int, bytes]] = {}  # mount -> final put before the return
        self._walks: dict[int, list[int]] = {}  # mount -> legitimized, discounted
        self._now = 0
        self.forgotten = 0  #: last puts and walks dropped before the umount they belong to ended

    def settle(self, complete: Ops, events: Array, foreign: I8) -> Ops:
        """Return the operations that need no more, in order of the event that settled them.

        Parameters
        ----------
        complete : Ops
            Completed in this batch, ``done_at`` the positions of their last events.
        events : ndarray of EVENT_DTYPE
            The whole batch.
        foreign : ndarray of int64
            Positions of the events of tasks that are in no operation.
        """
        idle = not foreign.size and not len(self._held) and not self._walks
        if idle and not _needing(complete).any():
            self._advance(events)
            return complete
        return self._merge(complete, events, foreign)

    def _bound(self, entries: dict[int, tuple[int, bytes]] | dict[int, list[int]]) -> None:
        if len(entries) > _MAX_EARLY:
            del entries[next(iter(entries))]
            self.forgotten += 1

    def rest(self) -> Ops:
        """Return what is still held, in order of completion; forgets it."""
        held, self._held = self._held, Ops()
        return held.ordered("t_end")

    def _advance(self, events: Array) -> None:
        if events.size:
            self._now = max(self._now, int(times_of(events["ts_ns"]).max()))

    def _merge(self, complete: Ops, events: Array, foreign: I8) -> Ops:
        ready = self._hold(complete)
        self._find(events, foreign)
        taken, times = 0, times_of(events["ts_ns"])
        for position, step, index in self._agenda(times, foreign):
            until = int(np.searchsorted(ready["done_at"], position))
            self._take_walks(ready, range(taken, until))
            taken = until
            if step == _SEEN:
                self._foreign(events[position], int(times[position]), position)
            elif step == _HELD:
                self._already_put(index)
            elif not self._settled[index]:
                self._held.put("done_at", index, position)
                self._release(np.array([index]))
        self._take_walks(ready, range(taken, len(ready)))
        self._advance(events)
        settled = self._held.take(self._settled)
        self._held = self._held.take(~self._settled)
        return Ops.joined([ready, settled]).ordered("done_at")

    def _agenda(self, times: I8, foreign: I8) -> list[tuple[int, int, int]]:
        """Return what is to be done: position in the batch, what, and of which of the held.

        In the order in which the events came, so that no border of a batch makes a difference.
        """
        if not times.size:
            return []
        reached = np.maximum.accumulate(np.maximum(times, self._now))
        deadline = np.minimum(self._held["t_end"], _LATEST - HOLD_NS) + HOLD_NS
        late = np.flatnonzero(deadline <= reached[-1])
        begun = self._held["done_at"]
        # Not before it was held: a clock that ran ahead had passed the deadline by then.
        expiry = np.maximum(np.searchsorted(reached, deadline[late]), begun[late])
        fresh = np.flatnonzero(begun >= 0)
        position = np.concatenate([foreign, begun[fresh], expiry])
        step = np.repeat([_SEEN, _HELD, _LATE], [foreign.size, fresh.size, late.size])
        index = np.concatenate([foreign, fresh, late])
        order = np.lexsort((step, position))
        return list(zip(*(some[order].tolist() for some in (position, step, index)), strict=True))

    def _hold(self, complete: Ops) -> Ops:
        """Hold those that need the events of others, and return the rest."""
        needing = _needing(complete)
        self._held["done_at"] = np.full(len(self._held), -1)
        self._held = Ops.joined([self._held, complete.take(needing)])
        self._settled = np.zeros(len(self._held), np.bool_)
        return complete.take(~needing)

    def _find(self, events: Array, foreign: I8) -> None:
        """Find once, for all puts of a batch, what is held of their mounts."""
        kinds, mounts = events["kind"][foreign], self._held["mnt"]
        put = events["mnt"][foreign[kinds == Kind.CLEANUP_EXIT]]
        at = np.flatnonzero(np.isin(mounts, put))
        self._of = {}
        for index, mnt in zip(at.tolist(), mounts[at].tolist(), strict=True):
            self._of.setdefault(mnt, []).append(index)

    def _foreign(self, event: np.void, when: int, position: int) -> None:
        mnt = int(event["mnt"])
        if event["kind"] == Kind.CLEANUP_EXIT:
            self._put(mnt, when, bytes(event["comm"]), position)
        # Else the walk met a mount that was busy, not one that dies.
        elif event["kind"] == Kind.WALK and int(event["a"]) & _DYING and event["ret"]:
            counts = self._walks.setdefault(mnt, [0, 0])
            counts[0 if event["ret"] < 0 else 1] += 1
            self._bound(self._walks)

    def _put(self, mnt: int, when: int, comm: bytes, position: int) -> None:
        held = self._held
        mine = np.array(self._of.get(mnt, ()), np.int64)
        mine = mine[(held["done_at"][mine] < position) & ~self._settled[mine]]
        if not mine.size:
            self._early[mnt] = (when, comm)
            self._bound(self._early)
            return
        held.put("put_ts", mine, when)
        held.put("put_comm", mine, comm)
        held.put("done_at", mine, position)
        self._release(mine)

    def _already_put(self, index: int) -> None:
        """Settle one whose mount was cleaned up by another before it returned."""
        found = self._early.pop(int(self._held["mnt"][index]), None)
        # The address may be that of a later mount too.
        if found is not None and found[0] >= int(self._held["t_first"][index]):
            self._held.put("put_ts", index, found[0])
            self._held.put("put_comm", index, found[1])
            self._release(np.array([index]))

    def _release(self, index: I8) -> None:
        self._settled[index] = True
        self._take_walks(self._held, index)

    def _take_walks(self, ops: Ops, index: I8 | range) -> None:
        """Give these operations the walks counted so far, in place."""
        if self._walks:
            for at, mnt in zip(index, ops["mnt"][index].tolist(), strict=True):
                found = self._walks.pop(mnt, None) if mnt else None
                if found is not None:
                    ops.put("n_legitimized", at, found[0])
                    ops.put("n_discounted", at, found[1])


def _needing(ops: Ops) -> Bools:
    """Return which are over for their own task, which did not clean up the mount itself."""
    if "mnt" not in ops:
        return np.zeros(len(ops), np.bool_)
    ended = (ops["end"] != 0) & (ops["ret"] >= 0) & ~ops["superseded"] & ~lost_events(ops)
    needing: Bools = ended & (ops["mnt"] != 0) & ~ops["own_put"]
    return needing
