"""Groups the events of a batch into operations, task by task, with array code.

An operation is one umount, or another teardown such as that of a mount namespace. It has the events
of one task, from its opener to its terminal event. An operation that is open at the end of a batch
is carried into the next one, so that any split of the same events into batches gives the same
operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from umtrace.correlate.cut import I8, Bools, by_task, cut
from umtrace.correlate.fields import FieldName
from umtrace.correlate.join import join_carried
from umtrace.correlate.reduce import reduced
from umtrace.correlate.table import Ops
from umtrace.model.events import Array


@dataclass(frozen=True, slots=True)
class Grouped:
    """The outcome of one batch."""

    complete: Ops  #: in order of completion
    still_open: Ops  #: at most one per task, sorted by ``task``


def group(events: Array, carried: Ops, foreign: I8) -> Grouped:
    """Group a batch of events, continuing the operations carried from the last.

    Parameters
    ----------
    events : ndarray of EVENT_DTYPE, shape (n,)
    carried : Ops
        The open operations of the last call, sorted by ``task``; must not be used again.
    foreign : ndarray of int64
        Positions of the events of tasks that are in no operation, which are left out.
    """
    order = by_task(events, foreign)
    if not order.size:
        return Grouped(Ops(), carried)
    pieces = cut(events, order)
    ops = reduced(pieces)
    superseded = join_carried(ops, carried, pieces)
    untouched = carried.take(~np.isin(carried["task"], ops["task"]))
    open_ones = ops.take(np.arange(pieces.n_complete, len(ops)))
    return Grouped(
        _merged(carried.take(superseded), ops.part(0, pieces.n_complete), by="done_at"),
        _merged(untouched, open_ones, by="task"),
    )


def _merged(some: Ops, ops: Ops, *, by: FieldName) -> Ops:
    """Return both, sorted; nearly always ``some`` is empty."""
    return Ops.joined([some, ops]).ordered(by) if len(some) else ops


def lost_events(ops: Ops) -> Bools:
    """Return where an event is missing, since there is a gap in the sequence."""
    known = ops["opener"] != 0
    whole = (ops["seq_min"] == 0) & (ops["seq_max"] + 1 == ops["n_events"])
    lost: Bools = known & ~whole
    return lost
