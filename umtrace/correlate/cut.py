"""Cuts the events of a batch into segments, each of one operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from umtrace.correlate.fields import Column
from umtrace.model.events import NESTED, OPENERS, Array, Kind

I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Some:
    """Some events of a batch and the operation of each; a field is read only when it is used."""

    events: Array
    position: I8  #: in the batch
    op: I8  #: number of the operation

    def __getitem__(self, name: str) -> Column:
        found: Column = self.events[name][self.position]
        return found

    def __len__(self) -> int:
        return len(self.position)

    def which(self, mask: Bools) -> Some:
        """Return the events that a mask selects."""
        return Some(self.events, self.position[mask], self.op[mask])

    def backwards(self) -> Some:
        """Return the same events, from the last to the first."""
        return Some(self.events, self.position[::-1], self.op[::-1])

    @property
    def times(self) -> I8:
        """Their times, ns, at least 1, since 0 is "not seen"; an invalid one is 1, too."""
        return times_of(self["ts_ns"])


@dataclass(frozen=True, slots=True)
class Cut:
    """The events of a batch, sorted by task, in segments that are one operation each.

    The numbers of operations are chosen so that no column must be sorted later: first those that
    completed, in that order, then those still open, by task.
    """

    events: Array
    order: I8  #: position in the batch of each event
    kind: npt.NDArray[np.uint16]  #: of each event
    op: I8  #: operation of each event
    starts: I8  #: number of the first event of each segment
    number: I8  #: operation of each segment
    first: I8  #: of each operation, the number of its first event
    last: I8
    ended: Bools  #: of each operation, whether its last event is a terminal one
    done_at: I8  #: of each completed operation, the position of the event that completed it
    n_complete: int
    _of: dict[tuple[Kind, ...], Some] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of operations."""
        return len(self.first)

    def of(self, *kinds: Kind) -> Some:
        """Return the events of these kinds; the events of one operation stay in their order."""
        if kinds not in self._of:
            self._of[kinds] = self.at(np.flatnonzero(any_of(self.kind, kinds)))
        return self._of[kinds]

    def at(self, number: I8) -> Some:
        """Return events by their number in this order."""
        return Some(self.events, self.order[number], self.op[number])


def cut(events: Array, order: I8) -> Cut:
    """Cut ``events[order]``, sorted by task, where an event opens or ends an operation."""
    kind, task = events["kind"][order], task_of(events["tid"][order], events["cpu"][order])
    new_task = np.append(True, task[1:] != task[:-1])
    terminal = _terminal(events, order, kind)
    starts = new_task | any_of(kind, OPENERS)
    starts[1:] |= terminal[:-1]
    first = np.flatnonzero(starts)
    following = np.append(first[1:], order.size)
    last = following - 1
    ended, latest = terminal[last], np.append(new_task[first[1:]], True)
    closed = ended | ~latest
    # An operation without an end is over when the next one of its task begins.
    done_at = order[np.where(ended | latest, last, following)]
    turn = np.append(_by_position(done_at, closed, len(events)), np.flatnonzero(~closed))
    number = np.empty_like(turn)
    number[turn] = np.arange(turn.size)
    return Cut(
        events=events,
        order=order,
        kind=kind,
        op=np.repeat(number, following - first),
        starts=first,
        number=number,
        first=first[turn],
        last=last[turn],
        ended=ended[turn],
        done_at=done_at[turn],
        n_complete=int(np.count_nonzero(closed)),
    )


def times_of(ts_ns: Column) -> I8:
    """Return times as positive int64; a time that no clock can have is 1, before all others."""
    times: I8 = np.maximum(ts_ns.view(np.int64), 1)
    return times


def task_of(tid: Column, cpu: Column) -> Column:
    """Return the task of each event; a nested operation of a task counts as another task."""
    nested = cpu & NESTED
    if not nested.any():
        return tid
    tasks: Column = tid.astype(np.int64) | nested.astype(np.int64) << 32
    return tasks


def by_task(events: Array, foreign: I8) -> I8:
    """Return the positions of all but the foreign events, stably sorted by task."""
    nested = (events["cpu"] & NESTED) != 0
    inside = nested.any()
    if not foreign.size and not inside:
        return _sorted(events["tid"])
    ours = np.ones(len(events), np.bool_)
    ours[foreign] = False
    if not inside:
        return _positions(events, ours)
    return np.append(_positions(events, ours & ~nested), _positions(events, ours & nested))


def _positions(events: Array, of: Bools) -> I8:
    """Return the positions of some events, stably sorted by tid."""
    order = np.flatnonzero(of)
    return order[_sorted(events["tid"][order])]


def any_of(kind: Column, kinds: Sequence[int]) -> Bools:
    """Return where an event is of one of these kinds."""
    found: Bools = kind == kinds[0]
    for other in kinds[1:]:
        found |= kind == other
    return found


def _sorted(tids: Column) -> I8:
    """Return the stable order by task, as 16 bits if possible, which numpy sorts by counting."""
    order = np.argsort(tids.astype(np.uint16), kind="stable")
    high = (tids >> np.uint32(16)).astype(np.uint16)
    if not high.any():
        return order
    return order[np.argsort(high[order], kind="stable")]


def _terminal(events: Array, order: I8, kind: npt.NDArray[np.uint16]) -> Bools:
    terminal = any_of(kind, (Kind.RETURNED, Kind.DEAD, Kind.ENDED))
    exits = np.flatnonzero(kind == Kind.EXIT)
    at = order[exits]
    terminal[exits] = (events["ret"][at] < 0) | (events["a"][at] == 1)
    return terminal


def _by_position(done_at: I8, closed: Bools, n_events: int) -> I8:
    """Return the closed ones in the order of ``done_at``; one event closes one at most."""
    one = np.flatnonzero(closed)
    closes = np.zeros(n_events, np.bool_)
    closes[done_at[one]] = True
    which = np.empty(n_events, np.int64)
    which[done_at[one]] = one
    return which[closes]
