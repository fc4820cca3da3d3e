"""Dask as the scheduler of our own map and merge, and nothing more of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from dask import bag, config
from distributed import Client, LocalCluster
from distributed.security import Security

from umtrace.fleet.items import Task
from umtrace.fleet.mapping import Part, Query, add_up, count, nothing
from umtrace.model.errors import UmtraceError

_EVERY = 16
#: no pages about the cluster
_CLOSED: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_TIMEOUT_S = 10
#: a task whose worker died is tried again so many times
_TRIES = 10


def run_on_cluster(
    tasks: Sequence[Task], query: Query, scheduler: str, *, workers: int | None = None
) -> Part:
    """Return what all hosts come to; parameters as `umtrace.fleet.engine.run`."""
    if not tasks:
        return nothing(query)
    with _client(scheduler, workers) as client:
        hosts = bag.from_sequence(tasks, partition_size=_size(len(tasks), client))
        merge = partial(_merged, query=query)
        whole = hosts.map(count, query=query).reduction(merge, merge, split_every=_EVERY)
        future = client.compute(whole, retries=_TRIES)
        part: Part = future.result()
        return part


def _merged(parts: Any, query: Query) -> Part:
    return add_up(list(parts), query)


def _size(hosts: int, client: Client) -> int:
    """Return hosts per task: some eight tasks per worker, and at most 64 hosts in one."""
    workers = max(len(client.scheduler_info()["workers"]), 1)
    return min(max(hosts // (8 * workers), 1), 64)


@contextmanager
def _client(scheduler: str, workers: int | None) -> Iterator[Client]:
    if scheduler != "local":
        try:
            client = Client(scheduler, timeout=_TIMEOUT_S)
        except OSError as error:
            raise UmtraceError(f"{scheduler}: no Dask scheduler answers: {error}") from None
        with client:
            yield client
        return
    with config.set(_CLOSED), _local(workers) as cluster, Client(cluster) as client:
        yield client


def _local(workers: int | None) -> LocalCluster:
    """Return a cluster of this host that no other user can give work to.

    A scheduler runs what anybody sends who can connect, as the user that started it. Certificates
    made for this run keep others out.
    """
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        security=Security.temporary(),
    )
