"""Dask gives the same to the last count: with one process or two, also where a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

from tests.fleet.fleets import record, summarize
from tests.stats.rows import T0_NS, container_host
from umtrace.fleet.cluster import _client
from umtrace.fleet.engine import run
from umtrace.fleet.items import tasks_in
from umtrace.fleet.mapping import Query
from umtrace.fleet.report import RESAMPLED
from umtrace.model.errors import UmtraceError, UsageError

pytestmark = pytest.mark.slow
_QUERY = Query(by=("kernel", "mode"), resample=RESAMPLED, owners=True, now_ns=T0_NS)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Sixteen hosts."""
    folder = tmp_path_factory.mktemp("fleet")
    for number in range(16):
        rows = container_host(40, seed=number)
        record(folder / f"{number}.umt", rows, host=f"web{number}", boot=f"{number:032x}")
        summarize(folder / f"{number}.umt", folder / "fleet")
    return str(folder / "fleet")


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as made:
        yield made


def same(a, b):
    for name in ("cells", "owners", "hosts", "verdicts"):
        assert getattr(a, name) == getattr(b, name), name
    assert a.resampled.cells.keys() == b.resampled.cells.keys()
    for key, weighted in a.resampled.cells.items():
        assert (b.resampled.cells[key].counts == weighted.counts).all()
        assert b.resampled.cells[key].hosts == weighted.hosts


def test_two_workers_of_its_own(fleet):
    tasks = tasks_in([fleet])
    same(run(tasks, _QUERY), run(tasks, _QUERY, "local"))


def test_nobody_else_can_give_work_to_a_cluster_of_its_own():
    with _client("local", 1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises((OSError, TypeError)):
            Client(address.replace("tls", "tcp"), timeout=2)
        with pytest.raises((OSError, TypeError)):
            Client(address, timeout=2)


def test_a_cluster_that_runs_already_and_a_worker_that_is_killed(fleet, cluster):
    tasks = tasks_in([fleet])
    whole = run(tasks, _QUERY)
    address = cluster.scheduler_address
    same(whole, run(tasks, _QUERY, address))
    with Client(address) as client:
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill():
            while not _is_busy(client):
                time.sleep(0.005)
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

        killer = threading.Thread(target=kill)
        killer.start()
        found = run(tasks * 5, _QUERY, address)
        killer.join()
        after = set(client.run(os.getpid).values())
    assert killed
    assert killed[0] not in after
    same(run(tasks * 5, _QUERY), found)


def _is_busy(client):
    return any(client.processing().values())


def test_no_scheduler_is_one_line(fleet, monkeypatch):
    monkeypatch.setattr("umtrace.fleet.cluster._TIMEOUT_S", 1)
    tasks = tasks_in([fleet])
    with pytest.raises(UsageError):
        run(tasks, _QUERY, "spark")
    with pytest.raises(UmtraceError, match="no Dask scheduler answers"):
        run(tasks, _QUERY, "tcp://127.0.0.1:1")
