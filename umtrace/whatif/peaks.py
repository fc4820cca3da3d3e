"""Numbers of an outcome: sums over umounts, and the most that there is at one time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from umtrace.model.arrow import Bools
from umtrace.stats.buckets import Int64
from umtrace.whatif.load import SYNC, Load
from umtrace.whatif.simulate import Outcome

Floats = npt.NDArray[np.float64]


def most_at_once(begin: Int64, end: Int64, weight: Int64 | None = None) -> int:
    """Return the largest sum of weights of intervals that overlap; ends come before begins.

    Parameters
    ----------
    begin, end : ndarray of int64, shape (n,)
    weight : ndarray of int64, optional, shape (n,)
        1 for each by default.
    """
    if not begin.size:
        return 0
    each = np.ones(begin.size, np.int64) if weight is None else weight
    times, steps = np.concatenate((begin, end)), np.concatenate((each, -each))
    order = np.lexsort((steps, times))
    return max(int(np.cumsum(steps[order]).max()), 0)


def contributions(load: Load, outcome: Outcome) -> dict[str, Floats]:
    """Return what each umount adds to the sums, shape (n,); a sum that is unknown is left out."""
    done, late = load.succeeded, outcome.deferred & load.succeeded
    found = {
        "waits": (outcome.waits & done).astype(np.float64),
        "deferred": late.astype(np.float64),
        "promise": (late & (load.kind == SYNC)).astype(np.float64),
        "wait_ns": np.where(done, outcome.caller, 0).astype(np.float64),
    }
    if outcome.period is not None:
        found["grace_periods"] = shares(outcome.period)
    if is_complete(load, outcome):
        kept = np.where(done, outcome.gone - outcome.unlocked, 0).astype(np.float64)
        found["mount_ns"] = kept * load.mounts
        found["held_up"] = (late & (outcome.queued > 0)).astype(np.float64)
    return found


def shares(period: Int64) -> Floats:
    """Return the part of a grace period that is each umount's: 1/k where k share one, 0 for -1."""
    counts = np.bincount(period + 1)
    if counts.size:
        counts[0] = 0  # of those without one
    parts = np.zeros(counts.size, np.float64)
    np.divide(1.0, counts, out=parts, where=counts > 0)
    return parts[period + 1]


def peaks(load: Load, outcome: Outcome) -> dict[str, int]:
    """Return the largest of each kind; nothing if the ends of deferred umounts are unknown."""
    if not is_complete(load, outcome):
        return {}
    done, late = load.succeeded, outcome.deferred & load.succeeded
    gone, length = outcome.gone, load.put + load.shutdown
    found = {
        "depth": most_at_once(outcome.unlocked[late], gone[late]),
        "at_once": most_at_once((gone - length)[late], gone[late]),
        "kept": most_at_once(outcome.unlocked[done], gone[done], load.mounts[done]),
    }
    if late.any():
        found["age_ns"] = int((gone - outcome.returned)[late].max())
        found["queued_ns"] = int(outcome.queued[late].max())
        found["longest_ns"] = int(length[late].max())
    return found


def is_complete(load: Load, outcome: Outcome) -> bool:
    """Whether it is known of all umounts when their file systems are shut down."""
    return not bool((outcome.gone[load.succeeded] < 0).any())


def exact(sums: Mapping[str, Floats], name: str) -> int | None:
    """Return a sum as a whole number; None if it is unknown."""
    values = sums.get(name)
    return None if values is None else round(float(values.sum()))


def which(load: Load, kinds: Mapping[str, int]) -> dict[str, Bools]:
    """Return which umounts succeeded: all, and of each kind."""
    done = load.succeeded
    return {"all": done} | {name: done & (load.kind == kind) for name, kind in kinds.items()}
