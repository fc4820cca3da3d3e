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
    order = order[np.argsort(events["tid"][order], kind="stable")]
    if not order.size:
        return Grouped(np.empty(0, OP_DTYPE), carried)
    sorted_events = picked(events, order)
    first = _segment_starts(sorted_events)
    ops = _reduce(sorted_events, first, order)
    carried = carried.copy()
    superseded = _join_carried(ops, carried, picked(sorted_events, first), order[first])
    last_of_task = np.append(ops["tid"][1:] != ops["tid"][:-1], True)
    unfinished = (ops["end"] == 0) & ~last_of_task
    ops["superseded"] |= unfinished
    ops["done_at"][unfinished] = order[first[1:]][unfinished[:-1]]
    open_ones = (ops["end"] == 0) & last_of_task
    done = joined([picked(carried, superseded), picked(ops, ~open_ones)])
    untouched = picked(carried, ~np.isin(carried["tid"], ops["tid"]))
    still_open = joined([untouched, picked(ops, open_ones)])
    return Grouped(
        picked(done, np.argsort(done["done_at"], kind="stable")),
        picked(still_open, np.argsort(still_open["tid"], kind="stable")),
    )


def _is_terminal(events: Array) -> npt.NDArray[np.bool_]:
    kind = events["kind"]
    failed = (kind == Kind.EXIT) & ((events["ret"] < 0) | (events["a"] == 1))
    ended: npt.NDArray[np.bool_] = (kind == Kind.RETURNED) | (kind == Kind.DEAD) | failed
    return ended


def _segment_starts(events: Array) -> _I8:
    starts = np.isin(events["kind"], OPENERS)
    starts[0] = True
    starts[1:] |= (events["tid"][1:] != events["tid"][:-1]) | _is_terminal(events)[:-1]
    return np.flatnonzero(starts)


def _reduce(events: Array, first: _I8, order: _I8) -> Array:
    """Make one operation of every segment, as if nothing had been carried."""
    segment = np.repeat(np.arange(first.size), np.diff(np.append(first, events.size)))
    last = np.append(first[1:], events.size) - 1
    ops = np.zeros(first.size, OP_DTYPE)
    head, tail = picked(events, first), picked(events, last)
    for name in ("tid", "tgid"):
        ops[name] = head[name]
    ops["t_first"], ops["comm"] = head["ts_ns"], head["comm"]
    opened = np.isin(head["kind"], OPENERS)
    for name, source in (("opener", "kind"), ("flags", "ret"), ("cgroup", "a"), ("mntns", "b")):
        ops[name] = np.where(opened, head[source], 0)
    _add_end(ops, tail, order[last])
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
