"""In which phase an operation is that has not ended, and since when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from umtrace.correlate.phases import has_functions
from umtrace.correlate.table import Ops
from umtrace.correlate.waits import Wait

I8 = npt.NDArray[np.int64]

#: the phases, with the names of `umtrace hist --phase`
PHASES = ("other", "lookup", "lock", "tree", "rcu", "put", "shutdown")
_OTHER, _LOOKUP, _LOCK, _TREE, _RCU, _PUT, _SHUTDOWN = range(len(PHASES))
#: by class of wait, where a sleeping task is; a wait of another class shows no phase
_ASLEEP = {
    Wait.RCU_EXPEDITED: _RCU,
    Wait.RCU_NORMAL: _RCU,
    Wait.RCU_PIGGYBACK: _RCU,
    Wait.RCU_QUEUE: _RCU,
    Wait.NAMESPACE_LOCK: _LOCK,
    Wait.LOOKUP: _LOOKUP,
    Wait.SHUTDOWN: _SHUTDOWN,
}


def standing(ops: Ops, *, by_function: bool) -> tuple[I8, I8]:
    """Return for each open operation an index of PHASES, and the time at which that began.

    Parameters
    ----------
    ops : Ops
        The n operations.
    by_function : bool
        Whether the tier probes functions, so that one that was not seen has not been entered.
    """
    asleep = ops["off_ts"] > 0
    slept_in = np.full(len(ops), _OTHER)
    for wait, there in _ASLEEP.items():
        slept_in[ops["off_wait"] == wait] = there
    functions = has_functions(ops)
    unlocking = ops["n_unlock"] > ops["n_unlock_exit"]
    cleaned = np.maximum.reduce(
        [ops["t_exit"], ops["t_path_exit"], ops["t_unlock_exit"], ops["t_cleanup_exit"]]
    )
    rules: list[tuple[npt.NDArray[np.bool_], int, I8]] = [
        (functions & (ops["n_cleanup"] > ops["n_cleanup_exit"]), _SHUTDOWN, cleaned),
        (functions & (ops["n_rcu"] > ops["n_rcu_exit"]), _RCU, ops["t_unlock"]),
        (functions & unlocking & (ops["n_rcu_exit"] > 0), _PUT, ops["t_rcu_exit"]),
        (asleep & (slept_in != _OTHER), -1, ops["off_ts"]),
        (ops["t_exit"] > 0, _SHUTDOWN, ops["t_exit"]),
        (functions & unlocking, _PUT, ops["t_unlock"]),
        (functions & (ops["t_unlock"] == 0) & (ops["t_locked"] > 0), _TREE, ops["t_locked"]),
        (functions & (ops["t_unlock"] == 0) & (ops["t_path"] > 0), _LOCK, ops["t_path"]),
        (~functions & by_function, _LOOKUP, ops["t_first"]),
        (asleep, _OTHER, ops["off_ts"]),
    ]
    masks = [mask for mask, _, _ in rules]
    phase: I8 = np.select(masks, [np.full(len(ops), number) for _, number, _ in rules], _OTHER)
    begun: I8 = np.select(masks, [ns for _, _, ns in rules], np.maximum(ops["t_first"], cleaned))
    return np.where(phase < 0, slept_in, phase), begun
