from __future__ import annotations

import numpy as np
import pytest

from tests.stats.rows import T0_NS, batch_of, container_host, row
from umtrace.stats.overtime import even_edges, heat, in_flight, lanes
from umtrace.stats.placement import PLACED, place


def test_phases_lie_end_to_end_and_shutdown_is_last():
    begins, ends = place(batch_of([row(rcu_ns=10, tree_ns=3, shutdown_ns=50, other_ns=7)]))
    spans = {
        name: (int(begins[n, 0]), int(ends[n, 0]))
        for n, name in enumerate(PLACED)
        if ends[n, 0] > begins[n, 0]
    }
    assert spans == {
        "tree_ns": (0, 3),
        "rcu_ns": (3, 13),
        "other_ns": (13, 20),
        "shutdown_ns": (20, 70),
    }


@pytest.mark.parametrize("latency", [0, 5, 30, 1000, None])
def test_nothing_reaches_beyond_the_latency(latency):
    begins, ends = place(batch_of([row(rcu_ns=10, shutdown_ns=20, latency_ns=latency)]))
    assert np.all(begins <= ends)
    assert ends.max() == (latency or 0)
    assert np.all(begins[1:] >= ends[:-1].clip(max=begins[1:]))


def test_in_flight_is_the_time_spent_whatever_the_bins():
    rows = container_host(200)
    batch = batch_of(rows)
    for bins in (1, 7, 100):
        edges = even_edges(T0_NS, T0_NS + 20_000_000_000, bins)
        spent = (in_flight([batch], edges) * np.diff(edges)).sum(axis=1)
        for number, name in enumerate(PLACED):
            assert spent[number] == pytest.approx(sum(r[name] or 0 for r in rows))


def test_in_flight_of_three_at_once():
    rows = [row(t_start=T0_NS + n, rcu_ns=100 - n) for n in range(3)]
    spent = in_flight([batch_of(rows)], np.array([T0_NS + 50, T0_NS + 100, T0_NS + 150]))
    assert spent[PLACED.index("rcu_ns")].tolist() == [3, 0]


def test_heat_counts_what_is_inside():
    rows = [row(t_start=T0_NS + n, rcu_ns=10**n) for n in range(6)] + [row(t_start=T0_NS)]
    counts = heat([batch_of(rows)], "rcu_ns", T0_NS + np.array([0, 3, 5]), np.array([1, 50, 10**6]))
    assert counts.tolist() == [[2, 0], [1, 2]]


def test_edges_enclose_the_end():
    for begin, end, bins in ((0, 0, 5), (10, 11, 3), (0, 999, 10)):
        edges = even_edges(begin, end, bins)
        assert edges[0] == begin
        assert edges[-1] > end
        assert np.all(np.diff(edges) >= 1)


def test_lanes_are_as_few_as_there_are_at_once():
    begins, ends = np.array([0, 5, 10, 6]), np.array([10, 20, 12, 7])
    assert lanes(begins, ends).tolist() == [0, 1, 0, 2]
    assert lanes(np.array([3, 3]), np.array([3, 3])).tolist() == [0, 1]
