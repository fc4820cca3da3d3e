"""The critical path of a teardown under a design, on paper, and beside `umtrace teardowns`."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import batch_of
from tests.whatif.loads import MS, lengths, umount
from umtrace.query.whose import READ, whose
from umtrace.teardowns.path import critical_path
from umtrace.teardowns.rows import Rows
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.load import load_of
from umtrace.whatif.path import paths
from umtrace.whatif.predict import what_if
from umtrace.whatif.simulate import simulate

JIFFY = 4 * MS
GP = lengths(15 * MS)
WEB = {"owner": "web", "owner_kind": "container", "n_held": 0}
DB = {"owner": "db", "owner_kind": "container", "n_held": 0}


def owned(*rows):
    return load_of([batch_of(rows)], columns=READ, whose=whose)


def under(load, design):
    found = paths(load, simulate(load, DESIGNS[design], lengths=GP, jiffy_ns=JIFFY))
    return list(zip(found.calls.tolist(), found.in_row.tolist(), strict=True))


def test_calls_one_after_the_other_and_one_beside_them():
    # Task 1 does three in turn, 1 ms apart; task 2 one of 4 ms that is over long before the end.
    rows = [
        umount(0, tid=1, rcu=10 * MS, mode="lazy", **WEB),
        umount(11 * MS, tid=1, rcu=10 * MS, shutdown=MS, **WEB),
        umount(23 * MS, tid=1, rcu=10 * MS, **WEB),
        umount(MS, tid=2, rcu=4 * MS, **WEB),
    ]
    load = owned(*rows)
    assert under(load, "A") == [(31 * MS, 3)]
    # The lazy one takes no time; the others follow their task.
    assert under(load, "B") == [(21 * MS, 2)]
    assert under(load, "C") == [(0, 0)]
    assert under(load, "D") == [(MS, 0)]


def test_what_waits_for_the_lock_has_the_holder_on_its_path():
    # Task 2 asks at 1 ms and gets the lock at 5, when task 9 of another owner drops it.
    rows = [
        umount(0, tid=9, tree=5 * MS, rcu=20 * MS, **DB),
        umount(MS, tid=2, lock=4 * MS, tree=2 * MS, rcu=3 * MS, **WEB),
    ]
    found = dict(zip(("db", "web"), under(owned(*rows), "A"), strict=True))
    # From 1 ms on, as the teardown begins then: 4 ms of the other one, and 5 of its own.
    assert found == {"db": (25 * MS, 1), "web": (9 * MS, 1)}


def test_another_task_goes_on_where_one_has_ended():
    rows = [
        umount(0, tid=1, rcu=10 * MS, **WEB),
        umount(0, tid=2, rcu=7 * MS, **WEB),
        umount(12 * MS, tid=3, rcu=5 * MS, **WEB),
    ]
    assert under(owned(*rows), "A") == [(15 * MS, 2)]


def test_the_answers_have_it():
    rows = [umount(n * 11 * MS, tid=1, rcu=10 * MS, mode="lazy", **WEB) for n in range(4)]
    found = what_if(owned(*rows), ["B"], lengths=GP, jiffy_ns=JIFFY)
    assert [q.ns for q in found["A"].teardown_path] == [40 * MS] * 4
    assert (found["A"].in_row, found["B"].in_row) == (4, 0)
    alone = what_if(load_of([batch_of([umount(0, rcu=MS)])]), [], lengths=GP, jiffy_ns=JIFFY)
    assert (alone["A"].teardown_path, alone["A"].in_row) == ((), None)
    assert alone["A"].unknown["in_row"] == alone["A"].unknown["teardown_path"]


calls = st.tuples(
    st.integers(1, 3),  # task
    st.integers(1, 30),  # pause before, ms
    st.integers(1, 12),  # grace period
    st.integers(0, 3),  # shutdown
)


@given(st.lists(calls, min_size=1, max_size=10))
def test_as_recorded_it_is_that_of_the_teardown(made):
    at, rows = {}, []
    for n, (tid, pause, rcu, shutdown) in enumerate(made):
        begin = at.get(tid, 0) + pause * MS + n
        rows.append(umount(begin, tid=tid, rcu=rcu * MS, shutdown=shutdown * MS, id=n, **WEB))
        at[tid] = begin + (rcu + shutdown) * MS
    load = owned(*rows)
    found = paths(load, simulate(load, DESIGNS["A"], jiffy_ns=JIFFY))
    table = Rows(batch_of(sorted(rows, key=lambda row: row["t_start"])))
    for number in range(found.calls.size):
        steps = critical_path(table, load.teardown == number)
        spent = sum(step.end - step.begin for step in steps)
        assert found.calls[number] == spent
        assert found.in_row[number] == sum(step.is_whole for step in steps)


@given(st.lists(calls, min_size=1, max_size=10))
def test_a_path_is_no_longer_than_its_teardown_is_busy(made):
    rows = [
        umount(n * 3 * MS, tid=n, rcu=rcu * MS, shutdown=shut * MS, mode=["lazy", "sync"][n % 2],
               **[WEB, DB][tid % 2])
        for n, (tid, _, rcu, shut) in enumerate(made)
    ]  # fmt: skip
    load = owned(*rows)
    for design in DESIGNS.values():
        outcome = simulate(load, design, lengths=GP, jiffy_ns=JIFFY)
        found = paths(load, outcome)
        longest = np.zeros(found.calls.size, np.int64)
        np.maximum.at(longest, load.teardown, outcome.caller)
        assert (found.calls >= 0).all()
        assert found.calls.sum() <= outcome.caller.sum()
        assert (found.in_row <= np.bincount(load.teardown)).all()


@given(st.lists(st.tuples(calls, st.integers(1, 9)), min_size=1, max_size=10))
def test_with_waits_for_the_lock_too(made):
    """The waits are those of a first simulation, whose times are then taken as recorded."""
    rows = [
        umount(pause * MS + n * 7, tid=100 + n, tree=tree * MS + n, rcu=rcu * MS, id=n,
               **[WEB, DB][tid % 2])
        for n, ((tid, pause, rcu, _), tree) in enumerate(made)
    ]  # fmt: skip
    rows.sort(key=lambda row: row["t_start"])
    first = simulate(owned(*rows), DESIGNS["A"], jiffy_ns=JIFFY)
    for row, unlocked, latency, begin in zip(
        rows, first.unlocked.tolist(), first.caller.tolist(), first.begin.tolist(), strict=True
    ):
        row |= {"lock_ns": unlocked - row["tree_ns"] - begin, "latency_ns": latency}
    load, table = owned(*rows), Rows(batch_of(rows))
    found = paths(load, simulate(load, DESIGNS["A"], jiffy_ns=JIFFY))
    for number in range(found.calls.size):
        steps = critical_path(table, load.teardown == number)
        assert found.calls[number] == sum(step.end - step.begin for step in steps)
