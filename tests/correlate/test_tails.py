"""Final puts by others, of many mounts whose operations wait for them at the same time."""

from __future__ import annotations

import numpy as np
import pytest

from umtrace.correlate.table import Ops
from umtrace.correlate.tails import TailKeeper
from umtrace.model.events import EVENT_DTYPE, FOREIGN, Kind

NONE = np.zeros(0, np.int64)


def returned(mounts):
    """Return operations that are over for their own tasks, in the order of ``mounts``."""
    ops = Ops(len(mounts))
    at = np.arange(len(mounts))
    for name, values in (("mnt", mounts), ("tid", at), ("t_first", at), ("t_end", at + 1)):
        ops[name] = np.array(values)
    ops["end"] = np.full(len(mounts), Kind.RETURNED)
    ops["done_at"] = at
    return ops


def puts(mounts, *, ts_ns=1000):
    events = np.zeros(len(mounts), EVENT_DTYPE)
    events["mnt"], events["kind"], events["cpu"] = mounts, Kind.CLEANUP_EXIT, FOREIGN
    events["ts_ns"] = ts_ns + np.arange(len(mounts))
    events["comm"] = [b"cat%d" % number for number in range(len(mounts))]
    return events, np.arange(len(mounts))


def test_each_put_settles_what_waits_for_its_mount():
    keeper = TailKeeper()
    assert not len(keeper.settle(returned([5, 6, 7, 6, 8]), np.zeros(0, EVENT_DTYPE), NONE))
    settled = keeper.settle(Ops(0), *puts([8, 6, 99, 6, 5]))
    assert settled["mnt"].tolist() == [8, 6, 6, 5]  # in the order of the puts
    assert settled["put_comm"].tolist() == [b"cat0", b"cat1", b"cat1", b"cat4"]
    assert settled["put_ts"].tolist() == [1000, 1001, 1001, 1004]
    assert keeper.rest()["mnt"].tolist() == [7]


def test_a_put_before_the_return_is_of_an_operation_of_the_same_batch_too():
    keeper = TailKeeper()
    ops = returned([5, 6])
    ops["done_at"] = np.array([1, 3])
    settled = keeper.settle(ops, *puts([6, 0, 5, 0]))
    assert settled["mnt"].tolist() == [5, 6]
    assert settled["put_comm"].tolist() == [b"cat2", b"cat0"]


@pytest.mark.parametrize("held", [64, 1024])
def test_a_put_costs_the_same_whatever_is_held(monkeypatch, held):
    """Counts, not times: no put may go through all that is held."""
    keeper = TailKeeper()
    keeper.settle(returned(np.arange(1, held + 1)), np.zeros(0, EVENT_DTYPE), NONE)
    read, written = [], []
    get, put = Ops.__getitem__, Ops.put
    monkeypatch.setattr(Ops, "__getitem__", lambda ops, name: read.append(name) or get(ops, name))
    monkeypatch.setattr(
        Ops, "put", lambda ops, name, at, to: written.append(np.size(at)) or put(ops, name, at, to)
    )
    assert len(keeper.settle(Ops(0), *puts(np.arange(held, 0, -1)))) == held
    assert read.count("mnt") < 10, "a search of all mounts for each put"
    assert sum(written) < 5 * held
