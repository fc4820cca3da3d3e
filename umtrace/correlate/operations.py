"""Groups the events of a batch into operations, task by task, with array code.

An operation is one umount (or one namespace that goes with its last task): the
events of one task from its opener (ENTER, NS_EXIT) to its terminal event. What is
still open at the end of a batch is carried into the next, so that any split of the
same events into batches gives the same operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from umtrace.correlate.waits import Wait, classify
from umtrace.records.events import Array, Kind

N_WAITS = len(Wait)

#: One operation, open or complete; 0 is "not seen" for times and kinds.
OP_DTYPE = np.dtype(
    [
        ("tid", "<u4"),
        ("tgid", "<u4"),
        ("opener", "<u2"),  # Kind.ENTER, Kind.NS_EXIT, or 0: the beginning was not seen
        ("t_first", "<u8"),  # first event of any kind
        ("flags", "<i4"),  # ret of the opener: umount2 flags, or mounts in the namespace
        ("cgroup", "<u8"),
        ("mntns", "<u4"),
        ("comm", "S16"),
        ("t_exit", "<u8"),
        ("ret", "<i4"),
        ("t_end", "<u8"),
        ("end", "<u2"),  # kind of the terminal event
        ("alone", "?"),  # an EXIT whose beginning lies before the trace
        ("wait_ns", "<i8", (N_WAITS,)),
        ("waits", "<i4", (N_WAITS,)),
        ("last_seq", "<u4"),
        ("gap", "?"),  # an event is missing
        ("off_ts", "<u8"),  # an OFF_CPU whose ON_CPU has not come yet
        ("off_wait", "<u8"),
        ("n_events", "<i8"),
        ("superseded", "?"),  # a new operation of the task began before this one ended
        ("done_at", "<i8"),  # position in the batch of the event that completed it
    ]
)

_OPENERS = (Kind.ENTER, Kind.NS_EXIT)
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
    carried : ndarray of OP_DTYPE, shape (m,)
        What the last call left open, sorted by tid.
    """
    if not events.size:
        return Grouped(np.empty(0, OP_DTYPE), carried)
    order = np.argsort(events["tid"], kind="stable")
    sorted_events = events[order]
    first = _segment_starts(sorted_events)
    ops = _reduce(sorted_events, first, order)
    carried = carried.copy()
    superseded = _join_carried(ops, carried, sorted_events[first], order[first])
    last_of_task = np.append(ops["tid"][1:] != ops["tid"][:-1], True)
    unfinished = (ops["end"] == 0) & ~last_of_task
    ops["superseded"] |= unfinished
    ops["done_at"][unfinished] = order[first[1:]][unfinished[:-1]]
    open_ones = (ops["end"] == 0) & last_of_task
    done = np.concatenate([carried[superseded], ops[~open_ones]])
    untouched = carried[~np.isin(carried["tid"], ops["tid"])]
    still_open = np.concatenate([untouched, ops[open_ones]])
    return Grouped(
        done[np.argsort(done["done_at"], kind="stable")],
        still_open[np.argsort(still_open["tid"], kind="stable")],
    )


def _is_terminal(events: Array) -> npt.NDArray[np.bool_]:
    kind = events["kind"]
    failed = (kind == Kind.EXIT) & ((events["ret"] < 0) | (events["a"] == 1))
    ended: npt.NDArray[np.bool_] = (kind == Kind.RETURNED) | (kind == Kind.DEAD) | failed
    return ended


def _segment_starts(events: Array) -> _I8:
    starts = np.isin(events["kind"], _OPENERS)
    starts[0] = True
    starts[1:] |= (events["tid"][1:] != events["tid"][:-1]) | _is_terminal(events)[:-1]
    return np.flatnonzero(starts)


def _reduce(events: Array, first: _I8, order: _I8) -> Array:
    """Make one operation of every segment, as if nothing had been carried."""
    segment = np.repeat(np.arange(first.size), np.diff(np.append(first, events.size)))
    last = np.append(first[1:], events.size) - 1
    ops = np.zeros(first.size, OP_DTYPE)
    head, tail = events[first], events[last]
    for name in ("tid", "tgid"):
        ops[name] = head[name]
    ops["t_first"], ops["comm"] = head["ts_ns"], head["comm"]
    opened = np.isin(head["kind"], _OPENERS)
    for name, source in (("opener", "kind"), ("flags", "ret"), ("cgroup", "a"), ("mntns", "b")):
        ops[name] = np.where(opened, head[source], 0)
    _add_exit(ops, events, segment)
    _add_end(ops, tail, order[last])
    _add_waits(ops, events, segment)
    ops["last_seq"] = tail["seq"]
    ops["n_events"] = last - first + 1
    missing = (np.diff(events["seq"]) != 1) & (segment[1:] == segment[:-1])  # wraps as in C
    ops["gap"][segment[1:][missing]] = True
    return ops


def _add_exit(ops: Array, events: Array, segment: _I8) -> None:
    exits = np.flatnonzero(events["kind"] == Kind.EXIT)
    ops["t_exit"][segment[exits]] = events["ts_ns"][exits]
    ops["ret"][segment[exits]] = events["ret"][exits]
    ops["alone"][segment[exits]] = events["a"][exits] == 1


def _add_end(ops: Array, tail: Array, position: _I8) -> None:
    ended = _is_terminal(tail)
    ops["t_end"] = np.where(ended, tail["ts_ns"], 0)
    ops["end"] = np.where(ended, tail["kind"], 0)
    ops["done_at"] = position


def _add_waits(ops: Array, events: Array, segment: _I8) -> None:
    kind, ts = events["kind"], events["ts_ns"].astype(np.int64)
    off = np.flatnonzero(kind == Kind.OFF_CPU)
    waits = classify(events["a"][off], events["b"][off] != 0)
    np.add.at(ops["waits"], (segment[off], waits), 1)
    follower = np.minimum(off + 1, events.size - 1)
    paired = (kind[follower] == Kind.ON_CPU) & (segment[follower] == segment[off])
    paired &= follower != off
    begin = off[paired]
    np.add.at(ops["wait_ns"], (segment[begin], waits[paired]), ts[begin + 1] - ts[begin])
    # An OFF_CPU that ends its segment waits for an ON_CPU in a later batch.
    dangling = (follower == off) | (segment[follower] != segment[off])
    ops["off_ts"][segment[off[dangling]]] = events["ts_ns"][off[dangling]]
    ops["off_wait"][segment[off[dangling]]] = waits[dangling]


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
    superseded = met & opened
    carried["superseded"][superseded] = True
    carried["done_at"][superseded] = position[index[superseded]]
    continued = met & ~opened
    _fold(ops, index[continued], carried[continued], head[index[continued]])
    return np.asarray(superseded, np.bool_)


def _fold(ops: Array, index: _I8, old: Array, head: Array) -> None:
    """Add what is known of ``old`` to ``ops[index]``, whose first events are ``head``."""
    new = ops[index]
    new["gap"] |= old["gap"] | (head["seq"] != old["last_seq"] + np.uint32(1))
    for name in ("opener", "t_first", "flags", "cgroup", "mntns", "comm"):
        new[name] = old[name]
    no_exit = new["t_exit"] == 0
    for name in ("t_exit", "ret", "alone"):
        new[name] = np.where(no_exit, old[name], new[name])
    for name in ("wait_ns", "waits", "n_events"):
        new[name] += old[name]
    resumed = np.flatnonzero((old["off_ts"] > 0) & (head["kind"] == Kind.ON_CPU))
    slept = (head["ts_ns"][resumed] - old["off_ts"][resumed]).astype(np.int64)
    np.add.at(new["wait_ns"], (resumed, old["off_wait"][resumed].astype(np.int64)), slept)
    ops[index] = new
