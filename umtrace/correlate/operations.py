"""Groups the events of a batch into operations, task by task, with array code.

An operation is one umount (or one namespace that goes with its last task): the
events of one task from its opener to its terminal event. What is still open at the
end of a batch is carried into the next, so that any split of the same events into
batches gives the same operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from umtrace.correlate.fields import (
    OP_DTYPE,
    OPENERS,
    Ordered,
    add_exit,
    add_function_events,
    add_numbers,
    add_waits,
    fold,
    joined,
    picked,
)
from umtrace.records.events import FOREIGN, Array, Kind

_I8 = npt.NDArray[np.int64]
Events = Array | Ordered


@dataclass(frozen=True, slots=True)
class Grouped:
    """The outcome of one batch: both arrays have OP_DTYPE."""

    complete: Array  #: in order of completion
    still_open: Array  #: at most one per task, sorted by tid


def group(events: Array, carried: Array) -> Grouped:
    """Group a batch of events, continuing the operations carried from the last.

    Parameters
    ----------
    events : ndarray of EVENT_DTYPE, shape (n,)
        Those of tasks that are in no operation are left out.
    carried : ndarray of OP_DTYPE, shape (m,)
        What the last call left open, sorted by tid.
    """
    order = np.flatnonzero((events["cpu"] & FOREIGN) == 0)
    order = order[_by_task(events["tid"][order])]
    if not order.size:
        return Grouped(np.empty(0, OP_DTYPE), carried)
    sorted_events = Ordered(events, order)
    first = _segment_starts(sorted_events)
    ops = _reduce(sorted_events, first)
    carried = carried.copy()
    superseded = _join_carried(ops, carried, sorted_events.records(first), order[first])
    last_of_task = np.append(ops["tid"][1:] != ops["tid"][:-1], True)
    unfinished = (ops["end"] == 0) & ~last_of_task
    ops["superseded"] |= unfinished
    ops["done_at"][unfinished] = order[first[1:]][unfinished[:-1]]
    open_ones = (ops["end"] == 0) & last_of_task
    untouched = picked(carried, ~np.isin(carried["tid"], ops["tid"]))
    return Grouped(
        _merged(picked(carried, superseded), ops, ~open_ones, by="done_at"),
        _merged(untouched, ops, open_ones, by="tid"),
    )


def _merged(some: Array, ops: Array, which: npt.NDArray[np.bool_], *, by: str) -> Array:
    """Return ``some`` and ``ops[which]`` in order; nearly always ``some`` is empty."""
    if some.size:
        both = joined([some, picked(ops, which)])
        return picked(both, np.argsort(both[by], kind="stable"))
    index = np.flatnonzero(which)
    return picked(ops, index[np.argsort(ops[by][index], kind="stable")])


def _by_task(tids: Array) -> _I8:
    """Return the stable order by task: numpy sorts 16 bits by counting, and more by comparing."""
    low = np.argsort((tids & np.uint32(0xFFFF)).astype(np.uint16), kind="stable")
    high = (tids >> np.uint32(16)).astype(np.uint16)
    if not high.any():
        return low
    return low[np.argsort(high[low], kind="stable")]


def _is_terminal(events: Events) -> npt.NDArray[np.bool_]:
    kind = events["kind"]
    failed = (kind == Kind.EXIT) & ((events["ret"] < 0) | (events["a"] == 1))
    ended: npt.NDArray[np.bool_] = (kind == Kind.RETURNED) | (kind == Kind.DEAD) | failed
    return ended


def _segment_starts(events: Ordered) -> _I8:
    starts = np.isin(events["kind"], OPENERS)
    starts[0] = True
    starts[1:] |= (events["tid"][1:] != events["tid"][:-1]) | _is_terminal(events)[:-1]
    return np.flatnonzero(starts)


def _reduce(events: Ordered, first: _I8) -> Array:
    """Make one operation of every segment, as if nothing had been carried."""
    segment = np.repeat(np.arange(first.size), np.diff(np.append(first, events.size)))
    last = np.append(first[1:], events.size) - 1
    ops = np.zeros(first.size, OP_DTYPE)
    head, tail = events.records(first), events.records(last)
    for name in ("tid", "tgid"):
        ops[name] = head[name]
    ops["t_first"], ops["comm"] = head["ts_ns"], head["comm"]
    opened = np.isin(head["kind"], OPENERS)
    for name, source in (("opener", "kind"), ("flags", "ret"), ("cgroup", "a"), ("mntns", "b")):
        ops[name] = np.where(opened, head[source], 0)
    _add_end(ops, tail, events.order[last])
    add_exit(ops, events, segment)
    add_waits(ops, events, segment)
    add_function_events(ops, events, segment)
    add_numbers(ops, events, first)
    ops["n_events"] = last - first + 1
    return ops


def _add_end(ops: Array, tail: Array, position: _I8) -> None:
    ended = _is_terminal(tail)
    ops["t_end"] = np.where(ended, tail["ts_ns"], 0)
    ops["end"] = np.where(ended, tail["kind"], 0)
    ops["end_a"] = np.where(ended, tail["a"], 0)
    ops["done_at"] = position


def _join_carried(ops: Array, carried: Array, head: Array, position: _I8) -> npt.NDArray[np.bool_]:
    """Fold carried operations into the segments that continue them, in place.

    Returns
    -------
    ndarray of bool, shape (len(carried),)
        Which carried operations were superseded by a new one instead.
    """
    first_of_task = np.flatnonzero(np.append(True, ops["tid"][1:] != ops["tid"][:-1]))
    at = np.searchsorted(ops["tid"][first_of_task], carried["tid"])
    at = np.minimum(at, first_of_task.size - 1)
    index = first_of_task[at]
    met = ops["tid"][index] == carried["tid"]
    opened = ops["opener"][index] != 0
    superseded: npt.NDArray[np.bool_] = met & opened
    carried["superseded"][superseded] = True
    carried["done_at"][superseded] = position[index[superseded]]
    continued = met & ~opened
    fold(ops, index[continued], carried[continued], head[index[continued]])
    return superseded
