"""Numbers of an outcome by owner, by file system, and of whole teardowns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umtrace.model.arrow import Bools
from umtrace.stats.buckets import Int64
from umtrace.stats.running_end import running_end
from umtrace.whatif.answers import Quantile, quantiles
from umtrace.whatif.load import Load
from umtrace.whatif.simulate import Outcome

#: owners and file systems that are named
MOST = 8


def by_owner(load: Load, outcome: Outcome) -> dict[str, tuple[Quantile, ...]]:
    """Return what callers wait, of the `MOST` owners that waited longest as recorded."""
    done, found = load.succeeded, {}
    spent = np.bincount(
        load.owner[done], load.recorded[done].astype(np.float64), minlength=len(load.owners)
    )
    for place in np.argsort(-spent, kind="stable").tolist():
        name, mine = load.owners[place], done & (load.owner == place)
        if name is not None and mine.any():
            found[name] = quantiles(outcome.caller[mine])
        if len(found) == MOST:
            break
    return found


def waits_by(load: Load, waits: Bools) -> dict[str, dict[str, int]]:
    """Return how many umounts wait, by owner and by file system; unknown is ``-``."""
    return {
        "owner": counted(load.owner[waits], load.owners),
        "fstype": counted(load.fstype[waits], load.fstypes),
    }


def counted(codes: Int64, names: Sequence[str | None], most: int = MOST) -> dict[str, int]:
    """Return how often each name is there, the most often first; the rest as ``others``."""
    counts = np.bincount(codes, minlength=len(names))
    order = [n for n in np.argsort(-counts, kind="stable").tolist() if counts[n]]
    found = {names[n] or "-": int(counts[n]) for n in order[:most]}
    if rest := sum(int(counts[n]) for n in order[most:]):
        found["others"] = found.get("others", 0) + rest
    return found


def of_teardowns(load: Load, outcome: Outcome) -> tuple[Int64, Int64]:
    """Return (sum, busy) of each teardown, ns, shape (k,).

    The sum is over its calls, also those that fail. It is busy while any of them is in its call.
    """
    mine = np.flatnonzero(load.teardown >= 0)
    if not mine.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    mine = mine[np.lexsort((outcome.begin[mine], load.teardown[mine]))]
    begin, end = outcome.begin[mine], outcome.returned[mine]
    first = np.flatnonzero(np.diff(load.teardown[mine], prepend=-1))
    group = np.cumsum(np.diff(load.teardown[mine], prepend=-1) != 0) - 1
    reached = running_end(group, end)
    before = np.concatenate((begin[:1], reached[:-1]))
    before[first] = begin[first]
    covered = np.maximum(end - np.maximum(begin, before), 0)
    return np.add.reduceat(end - begin, first), np.add.reduceat(covered, first)
