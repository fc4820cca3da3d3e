"""Teardowns for tests: rows of given times, and a simulation of tasks that share one lock."""

from __future__ import annotations

import numpy as np

from tests.stats.rows import T0_NS, batch_of, row
from umtrace.teardowns import Rows, critical_path

NS_CODE = 4026532177


def umount(begin, took, tid=1, **given):
    """A row that begins some ns after T0_NS; all but its phases is ``other_ns``."""
    values = {"id": 0, "mntns": NS_CODE, "path": f"/m/{tid}"} | given
    phases = sum(values.get(name) or 0 for name in ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns"))
    return row(t_start=T0_NS + begin, tid=tid, pid=tid, **values) | {
        "latency_ns": took,
        "other_ns": took - phases - (values.get("shutdown_ns") or 0),
    }


def numbered(rows):
    """Give rows ids in the order of their end, as a recording does."""
    ordered = sorted(rows, key=lambda each: each["t_start"] + each["latency_ns"])
    return [each | {"id": number} for number, each in enumerate(ordered)]


def rows_of(given):
    rows, unplaced = Rows.of_batch(batch_of(given))
    assert not unplaced
    return rows


def path_of(given, mine=None):
    """The critical path as (id, link), in the order of time."""
    rows = rows_of(given)
    which = np.ones(len(rows), np.bool_) if mine is None else np.array(mine)
    ids = rows.of("id")
    return [(int(ids[step.row]), step.link.value) for step in critical_path(rows, which)]


def simulate(tasks, slow=None):
    """Run tasks that unmount one after the other and share a lock, first come, first served.

    Parameters
    ----------
    tasks : list of list of (lookup, tree, rest) in ns
        ``tree`` is done with the lock.
    slow : (task, number, ns), optional
        An umount whose end, after the lock, takes longer.

    Returns
    -------
    list of rows, ``id`` in the order of tasks
    """
    ready = dict.fromkeys(range(len(tasks)), 0)
    left = {number: list(enumerate(task)) for number, task in enumerate(tasks)}
    first = np.cumsum([0, *map(len, tasks)]).tolist()
    free, rows = 0, []
    while any(left.values()):
        # Who comes to the lock first gets it first.
        task = min((n for n in left if left[n]), key=lambda n: (ready[n] + left[n][0][1][0], n))
        number, (lookup, tree, rest) = left[task].pop(0)
        if slow and slow[:2] == (task, number):
            rest += slow[2]
        begin = ready[task]
        got = max(begin + lookup, free)
        free = got + tree
        rows.append(
            umount(
                begin,
                free + rest - begin,
                tid=task + 1,
                id=first[task] + number,
                lookup_ns=lookup,
                lock_ns=got - begin - lookup,
                tree_ns=tree,
                rcu_ns=rest,
            )
        )
        ready[task] = free + rest + 1
    return rows


def end_of(rows):
    return max(each["t_start"] + each["latency_ns"] for each in rows)
