"""Holds operations back until the task that dropped the last reference to their mount is known.

After a lazy umount, or if another task had the last reference, that task runs cleanup_mnt() some
time after the umount has returned. Such an operation waits here for that event, at most HOLD_NS of
event time; after that its row has ``pending``.
"""

from __future__ import annotations

import numpy as np

from umtrace.correlate.cut import I8, Bools, times_of
from umtrace.correlate.operations import lost_events
from umtrace.correlate.phases import unseen
from umtrace.correlate.table import Ops
from umtrace.model.events import Array, Kind, Unseen

HOLD_NS = 5_000_000_000
_LATEST = 2**63 - 1
_MAX_EARLY = 4096
_SEEN, _HELD, _LATE = range(3)  # the order at one position
_DYING = 0x0B000000  # MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3


class TailKeeper:
    """Joins the events of foreign tasks to operations by the address of the mount."""

    def __init__(self) -> None:
        self._held = Ops()
        self._settled = np.zeros(0, np.bool_)  # which of the held operations can be released
        self._of: dict[int, list[int]] = {}  # mount put in this batch -> held operations
        self._early: dict[int, tuple[int, bytes]] = {}  # mount -> final put before the return
        self._walks: dict[int, list[int]] = {}  # mount -> legitimized, discounted
        self._now = 0
        self.forgotten = 0  #: last puts and walks dropped before the umount they belong to ended

    def settle(self, complete: Ops, events: Array, foreign: I8) -> Ops:
        """Return the operations that can be released, by the order of the events that did it.

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
        """Return the operations that are still held, in order of completion, and forget them."""
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
        """Return the steps to do: the position in the batch, the step, and the event or operation.

        They are in the order of the events, so that the split into batches makes no difference.
        """
        if not times.size:
            return []
        reached = np.maximum.accumulate(np.maximum(times, self._now))
        deadline = np.minimum(self._held["t_end"], _LATEST - HOLD_NS) + HOLD_NS
        late = np.flatnonzero(deadline <= reached[-1])
        begun = self._held["done_at"]
        # Not before the operation is held: a clock that ran ahead may have passed its deadline.
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
        """Find once, for all puts of a batch, the held operations of their mounts."""
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
        # Without these flags, the walk met a busy mount, not a dying one.
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
        """Release an operation if another task cleaned up its mount before it returned."""
        found = self._early.pop(int(self._held["mnt"][index]), None)
        # An older put was of an earlier mount at the same address.
        if found is not None and found[0] >= int(self._held["t_first"][index]):
            self._held.put("put_ts", index, found[0])
            self._held.put("put_comm", index, found[1])
            self._release(np.array([index]))

    def _release(self, index: I8) -> None:
        self._settled[index] = True
        self._take_walks(self._held, index)

    def _take_walks(self, ops: Ops, index: I8 | range) -> None:
        """Set the walks counted so far in these operations, in place."""
        if self._walks:
            for at, mnt in zip(index, ops["mnt"][index].tolist(), strict=True):
                found = self._walks.pop(mnt, None) if mnt else None
                if found is not None:
                    ops.put("n_legitimized", at, found[0])
                    ops.put("n_discounted", at, found[1])


def _needing(ops: Ops) -> Bools:
    """Return the operations that are over, but did not clean up the mount themselves."""
    if "mnt" not in ops:
        return np.zeros(len(ops), np.bool_)
    ended = (ops["end"] != 0) & (ops["ret"] >= 0) & ~ops["superseded"] & ~lost_events(ops)
    needing: Bools = ended & (ops["mnt"] != 0) & ~ops["own_put"] & ~unseen(ops, Unseen.PUTS)
    return needing
