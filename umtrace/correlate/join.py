"""Joins the operations of a batch with the parts that were carried from the batch before."""

from __future__ import annotations

import numpy as np

from umtrace.correlate.cut import I8, Bools, Cut, Some, task_of
from umtrace.correlate.fields import ENDED, FIELDS, WAIT_NS
from umtrace.correlate.table import Ops
from umtrace.correlate.waits import Wait
from umtrace.model.events import Kind

#: these are the later part's if it has an exit, or a check
_WITH_EXIT = ("ret", "alone", "from_path")
_WITH_CHECK = ("refcount",)
#: and these are those of the first mount that was described
_WITH_MOUNT = ("mnt", "mount_id", "dev", "fstype", "mount_flags")


def join_carried(ops: Ops, carried: Ops, cut: Cut) -> Bools:
    """Join carried operations with those that continue them, in place.

    Returns
    -------
    ndarray of bool, shape (len(carried),)
        Which carried operations are not continued, since a new one of the task began.
    """
    if not len(carried):
        return np.zeros(0, np.bool_)
    tasks, number = _first_of_task(cut)
    at = np.minimum(np.searchsorted(tasks, carried["task"]), tasks.size - 1)
    index = number[at]
    met = tasks[at] == carried["task"]
    opened = ops["opener"][index] != 0
    superseded: Bools = met & opened
    carried.put("superseded", superseded, 1)
    carried.put("done_at", superseded, cut.order[cut.first[index[superseded]]])
    continued = met & ~opened
    if continued.any():
        at = index[continued]
        _fold(ops, at, carried.take(continued), cut.at(cut.first[at]))
    return superseded


def _first_of_task(cut: Cut) -> tuple[I8, I8]:
    """Return the tasks of a batch, sorted, and the number of the first operation of each."""
    at = cut.order[cut.starts]
    task = task_of(cut.events["tid"][at], cut.events["cpu"][at])
    first = np.flatnonzero(np.append(True, task[1:] != task[:-1]))
    return task[first].astype(np.int64), cut.number[first]


def _fold(ops: Ops, index: I8, old: Ops, head: Some) -> None:
    """Add the earlier part ``old`` to ``ops[index]``; ``head`` has the next event of each."""
    new = ops.take(index)
    _shift_numbers(new, old)
    _keep(new, old, _WITH_EXIT, new["t_exit"] == 0)
    _keep(new, old, _WITH_CHECK, new["n_checked"] == 0)
    described = old["t_mount"] > 0
    for name in new.names | old.names:
        new[name] = FIELDS[name].join(old[name], new[name])
    _keep(new, old, _WITH_MOUNT, described)
    _wake(new, old, head)
    for name in new.names:
        ops.put(name, index, new[name])


def _keep(new: Ops, old: Ops, names: tuple[str, ...], where: Bools) -> None:
    for name in old.names.intersection(names):
        new[name] = np.where(where, old[name], new[name])


def _shift_numbers(new: Ops, old: Ops) -> None:
    shift = (new["seq_first"] - old["seq_first"]).view(np.int32)
    new["seq_min"] = np.minimum(old["seq_min"], new["seq_min"] + shift)
    new["seq_max"] = np.maximum(old["seq_max"], new["seq_max"] + shift)


def _wake(new: Ops, old: Ops, head: Some) -> None:
    """Add waits that began in the earlier part and end in this one."""
    woke = (old["off_ts"] > 0) & (head["kind"] == Kind.ON_CPU)
    for wait in Wait:
        here = np.flatnonzero(woke & (old["off_wait"] == wait))
        if here.size:
            ns = head.times[here] - old["off_ts"][here]
            new.put(WAIT_NS[wait], here, new[WAIT_NS[wait]][here] + ns)
            new.put(ENDED[wait], here, new[ENDED[wait]][here] + 1)
