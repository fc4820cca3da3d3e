"""Runs the map over hosts and adds up the parts: in this process, or by Dask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from umtrace.fleet.items import Task
from umtrace.fleet.mapping import Part, Query, add_up, count
from umtrace.model.errors import UsageError

#: parts that are added at once
EVERY = 16


def run(tasks: Sequence[Task], query: Query, scheduler: str = "none") -> Part:
    """Return what all hosts come to; the same for every scheduler, order and split.

    Parameters
    ----------
    scheduler : str
        ``none``: this process. ``local``: a Dask cluster of this host. ``tcp://HOST:PORT``: one
        that runs already.

    Raises
    ------
    UsageError
        There is no such scheduler.
    """
    if scheduler == "none":
        return _added(map(partial(count, query=query), tasks), query)
    if scheduler != "local" and "://" not in scheduler:
        raise UsageError(f"no scheduler '{scheduler}'; choose none, local, or tcp://HOST:PORT")
    from umtrace.fleet.cluster import run_on_cluster  # noqa: PLC0415 - an extra

    return run_on_cluster(tasks, query, scheduler)


def _added(parts: Iterable[Part], query: Query) -> Part:
    pending: list[Part] = []
    for part in parts:
        pending.append(part)
        if len(pending) == EVERY:
            pending = [add_up(pending, query)]
    return add_up(pending, query)
