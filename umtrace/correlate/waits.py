"""What a task in an umount waited for, from the functions on its stack."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from umtrace.model.events import OnStack


class Wait(IntEnum):
    """Classes of time off CPU; a column of a row is the sum of one or several of them."""

    UNKNOWN = 0  #: the stack could not be read
    OTHER = 1  #: any other wait, without a column of its own
    RCU_EXPEDITED = 2  #: synchronize_rcu_expedited() under namespace_unlock()
    RCU_NORMAL = 3  #: the same, with a normal grace period
    RCU_PIGGYBACK = 4  #: asleep in exp_funnel_lock(): another caller's grace period
    NAMESPACE_LOCK = 5  #: waiting for namespace_sem
    LOOKUP = 6  #: the path walk of umount(2)
    SHUTDOWN = 7  #: cleanup_mnt() and below, on the way back to user mode
    RCU_QUEUE = 8  #: behind other callers of synchronize_rcu_expedited(); the kind is not known yet


_ALL = sum(OnStack)


def classify(
    on_stack: npt.NDArray[np.uint64], unknown: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the wait class of each stack.

    Parameters
    ----------
    on_stack : ndarray of uint64, shape (n,)
        Bits of ``model.events.OnStack``; bits of a newer umtrace are ignored.
    unknown : ndarray of bool, shape (n,)
        Where the stack could not be read.
    """
    waits: npt.NDArray[np.int64] = _classes()[on_stack & np.uint64(_ALL)]
    waits[unknown] = Wait.UNKNOWN
    return waits


@cache
def _classes() -> npt.NDArray[np.int64]:
    """Return the wait class of every set of functions."""
    on_stack = np.arange(_ALL + 1, dtype=np.uint64)

    def has(bits: OnStack) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = (on_stack & np.uint64(bits)) != 0
        return found

    grace_period = has(OnStack.UNLOCK) & has(OnStack.RCU | OnStack.RCU_NORMAL)
    rules = (
        (grace_period & has(OnStack.RCU_NORMAL), Wait.RCU_NORMAL),
        # A task sleeps in exp_funnel_lock() outside its mutex if another task has already started
        # a grace period that is late enough; the function then returns true.
        (grace_period & has(OnStack.FUNNEL) & ~has(OnStack.MUTEX), Wait.RCU_PIGGYBACK),
        # With the mutex, the result is the same, or the task starts a grace period of its own and
        # sleeps for it.
        (grace_period & has(OnStack.FUNNEL), Wait.RCU_QUEUE),
        (grace_period, Wait.RCU_EXPEDITED),
        (has(OnStack.UNLOCK), Wait.OTHER),
        (has(OnStack.TASK_WORK), Wait.SHUTDOWN),
        (has(OnStack.LOCK_TAKER), Wait.NAMESPACE_LOCK),
        (has(OnStack.LOOKUP), Wait.LOOKUP),
    )
    masks, classes = zip(*rules, strict=True)
    return np.select(masks, [np.int64(c) for c in classes], np.int64(Wait.OTHER))
