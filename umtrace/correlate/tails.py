"""Holds operations back until it is known who dropped the last reference to their mount.

After a lazy umount, or when somebody stole the final put, another task runs
cleanup_mnt() some time after the umount has returned. Such an operation waits here
for that event, at most HOLD_NS of event time; then its row says ``pending``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from umtrace.correlate.fields import OP_DTYPE, lost_events
from umtrace.records.events import FOREIGN, Array, Kind

HOLD_NS = 5_000_000_000
_MAX_EARLY = 4096
_DYING = 0x0B000000  # MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3


class TailKeeper:
    """Joins the events of foreign tasks to operations by the address of the mount."""

    def __init__(self) -> None:
        self._held = np.empty(0, OP_DTYPE)
        self._early: dict[int, tuple[int, bytes]] = {}  # mount -> final put before the return
        self._walks: dict[int, list[int]] = {}  # mount -> legitimized, discounted
        self._now = 0

    def settle(self, complete: Array, events: Array) -> Array:
        """Return the operations that need no more, in order of the event that settled them.

        Parameters
        ----------
        complete : ndarray of OP_DTYPE
            Completed in this batch, ``done_at`` the positions of their last events.
        events : ndarray of EVENT_DTYPE
            The whole batch.
        """
        foreign = np.flatnonzero(events["cpu"] & FOREIGN)
        idle = not foreign.size and not self._held.size and not self._walks
        if idle and not self._needing(complete).any():
            self._advance(events)
            return complete
        return self._merge(complete, events, foreign)

    def rest(self) -> Array:
        """Return what is still held, in order of completion; forgets it."""
        held, self._held = self._held, np.empty(0, OP_DTYPE)
        return _ordered(held, "t_end")

    @property
    def n_held(self) -> int:
        """Operations waiting for their final put."""
        return len(self._held)

    @staticmethod
    def _needing(ops: Array) -> npt.NDArray[np.bool_]:
        ended = (ops["end"] != 0) & (ops["ret"] >= 0) & ~ops["superseded"] & ~lost_events(ops)
        needing: npt.NDArray[np.bool_] = ended & (ops["mnt"] != 0) & ~ops["own_put"]
        return needing

    def _advance(self, events: Array) -> None:
        if events.size:
            self._now = max(self._now, int(events["ts_ns"].max()))

    def _merge(self, complete: Array, events: Array, foreign: npt.NDArray[np.int64]) -> Array:
        needing = self._needing(complete)
        ready = complete[~needing]
        self._held["done_at"] = -1
        self._held = np.concatenate([self._held, complete[needing]])
        settled, taken = [ready], 0
        for position in foreign.tolist():
            until = int(np.searchsorted(ready["done_at"], position))
            self._take_all_walks(ready[taken:until])
            taken = until
            settled += self._foreign(events[position], position)
        self._take_all_walks(ready[taken:])
        settled += self._already_put()
        settled.append(self._expire(events))
        self._advance(events)
        return _ordered(np.concatenate(settled), "done_at")

    def _foreign(self, event: np.void, position: int) -> list[Array]:
        mnt = int(event["mnt"])
        if event["kind"] == Kind.WALK:
            if not int(event["a"]) & _DYING or not event["ret"]:
                return []  # a mount that was busy, not one that dies
            counts = self._walks.setdefault(mnt, [0, 0])
            counts[0 if event["ret"] < 0 else 1] += 1
            _bound(self._walks)
        elif event["kind"] == Kind.CLEANUP_EXIT:
            return self._put(mnt, event, position)
        return []

    def _put(self, mnt: int, event: np.void, position: int) -> list[Array]:
        mine = (self._held["mnt"] == mnt) & (self._held["done_at"] < position)
        if not mine.any():
            self._early[mnt] = (int(event["ts_ns"]), bytes(event["comm"]))
            _bound(self._early)
            return []
        op = self._release(mine)
        op["put_ts"], op["put_comm"], op["done_at"] = event["ts_ns"], event["comm"], position
        return [op]

    def _already_put(self) -> list[Array]:
        """Settle those whose mount was cleaned up by another before they returned."""
        settled = []
        for index in np.flatnonzero(np.isin(self._held["mnt"], list(self._early)))[::-1]:
            op = self._held[index : index + 1].copy()
            when, comm = self._early.pop(int(op["mnt"][0]))
            if when < int(op["t_first"][0]):
                continue
            op["put_ts"], op["put_comm"] = when, comm
            self._take_walks(op)
            self._held = np.delete(self._held, index)
            settled.append(op)
        return settled

    def _expire(self, events: Array) -> Array:
        if not events.size:
            return np.empty(0, OP_DTYPE)
        reached = np.maximum.accumulate(np.maximum(events["ts_ns"], np.uint64(self._now)))
        deadline = self._held["t_end"] + np.uint64(HOLD_NS)
        late = deadline <= reached[-1]
        expired = self._release(late)
        expired["done_at"] = np.searchsorted(reached, deadline[late])
        return expired

    def _release(self, which: npt.NDArray[np.bool_]) -> Array:
        ops: Array = self._held[which].copy()
        self._held = self._held[~which]
        self._take_all_walks(ops)
        return ops

    def _take_all_walks(self, ops: Array) -> None:
        """Give the operations the walks counted so far; they are views, filled in place."""
        if self._walks:
            for index in np.flatnonzero(ops["mnt"] != 0):
                self._take_walks(ops[index : index + 1])

    def _take_walks(self, op: Array) -> None:
        found = self._walks.pop(int(op["mnt"][0]), None)
        if found is not None:
            op["n_legitimized"], op["n_discounted"] = found


def _bound(entries: dict[int, tuple[int, bytes]] | dict[int, list[int]]) -> None:
    if len(entries) > _MAX_EARLY:
        del entries[next(iter(entries))]


def _ordered(ops: Array, by: str) -> Array:
    ordered: Array = ops[np.argsort(ops[by], kind="stable")]
    return ordered
