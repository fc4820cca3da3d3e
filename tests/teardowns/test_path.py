"""The critical path: a delay of a step moves the end, a delay of anything else does not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.teardowns.scenes import end_of, path_of, rows_of, simulate, umount
from umtrace.teardowns import critical_path
from umtrace.teardowns.path import PAUSE_NS

MS = 1_000_000
_TIMES = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
TASKS = st.lists(st.lists(_TIMES, min_size=1, max_size=5), min_size=1, max_size=5)


@settings(deadline=None)
@given(TASKS)
def test_the_end_moves_if_and_only_if_a_whole_step_is_delayed(tasks):
    # Odd and even times, so that no two ends are the same and a delay of 1 ns passes nobody.
    tasks = [[tuple(8 * t + n for t in times) for times in task] for n, task in enumerate(tasks)]
    rows = simulate(tasks)
    end, which = end_of(rows), np.ones(len(rows), np.bool_)
    placed = rows_of(rows)
    ids = placed.of("id")
    ends = np.sort(np.concatenate([placed.end, placed.holds[1], placed.waits[0]]))
    if np.diff(ends).min(initial=9) <= 1 and len(rows) > 1:
        return  # two things at one moment: either may be first
    whole = {int(ids[s.row]) for s in critical_path(placed, which) if s.is_whole}
    number = 0
    for task, times in enumerate(tasks):
        for place in range(len(times)):
            moved = end_of(simulate(tasks, slow=(task, place, 1))) - end
            assert moved == (number in whole), (number, whole)
            number += 1


@settings(deadline=None)
@given(TASKS)
def test_steps_follow_one_another_and_fill_the_time(tasks):
    rows = simulate(tasks)
    placed = rows_of(rows)
    steps = critical_path(placed, np.ones(len(rows), np.bool_))
    assert steps[-1].end == placed.end.max()
    assert steps[0].begin == placed.begin.min()
    for before, after in pairwise(steps):
        assert before.begin < before.end <= after.begin
        assert before.pause_ns == after.begin - before.end
    spent = sum(step.end - step.begin + step.pause_ns for step in steps)
    assert spent == placed.end.max() - placed.begin.min()


def test_the_task_that_ends_last_is_the_path():
    rows = [umount(0, 5, tid=1, id=0), umount(6, 4, tid=1, id=1), umount(0, 9, tid=2, id=2)]
    assert path_of(rows) == [(0, "task"), (1, "end")]


def test_a_waiter_was_held_up_by_who_gave_the_lock_on_last():
    rows = [
        umount(0, 900, tid=1, id=0, lookup_ns=10, lock_ns=0, tree_ns=100),
        umount(5, 800, tid=2, id=1, lookup_ns=10, lock_ns=95, tree_ns=50),
        umount(8, 2000, tid=3, id=2, lookup_ns=10, lock_ns=142, tree_ns=50),
    ]
    assert path_of(rows) == [(0, "lock"), (1, "lock"), (2, "end")]
    steps = critical_path(rows_of(rows), np.ones(3, np.bool_))
    assert [step.end - step.begin for step in steps] == [110, 50, 1848]


def test_another_owner_is_on_the_path_only_while_it_had_the_lock():
    rows = [
        umount(0, 50, tid=9, id=0),
        umount(60, 900, tid=9, id=1, lookup_ns=10, lock_ns=0, tree_ns=100),
        umount(65, 2000, tid=3, id=2, lookup_ns=10, lock_ns=95, tree_ns=50),
    ]
    assert path_of(rows, [False, False, True]) == [(1, "lock"), (2, "end")]
    steps = critical_path(rows_of(rows), np.array([False, False, True]))
    assert steps[0].begin == steps[1].begin - 105, "not before the teardown"


def test_without_the_holds_the_lock_is_no_link():
    rows = [umount(0, 900, tid=1, id=0), umount(5, 990, tid=2, id=1)]
    assert path_of(rows) == [(1, "end")]


@pytest.mark.parametrize(
    ("begin", "found"),
    [
        (MS, [(0, "task"), (2, "end")]),
        (PAUSE_NS + 2 * MS, [(1, "order"), (2, "end")]),
    ],
)
def test_a_task_that_pauses_for_long_waited_for_what_ended_in_the_pause(begin, found):
    rows = [
        umount(0, 10, tid=1, id=0),
        umount(0, MS // 2, tid=2, id=1),
        umount(begin, 10, tid=1, id=2),
    ]
    assert path_of(rows) == found


def test_a_command_for_each_umount_gives_a_path_of_inferred_links():
    rows = [umount(20 * n * MS, MS, tid=n + 1, id=n) for n in range(3)]
    assert path_of(rows) == [(0, "order"), (1, "order"), (2, "end")]


def test_a_namespace_that_ends_inside_an_umount_is_not_before_it():
    rows = [umount(0, 100, tid=1, id=0), umount(50, 50, tid=1, id=1, origin="ns-exit")]
    assert path_of(rows) == [(0, "end")]


def test_an_end_that_is_seen_by_the_next_call_of_the_task_is_before_it():
    # The tracepoint tier: the time of the end is read a moment after that of the next begin.
    rows = [
        umount(0, 1000, tid=1, id=0, latency_bound="upper"),
        umount(700, MS, tid=1, id=1, latency_bound="upper"),
        umount(0, 600, tid=2, id=2),
    ]
    assert path_of(rows) == [(0, "task"), (1, "end")]
    steps = critical_path(rows_of(rows), np.ones(3, np.bool_))
    assert [(step.end - step.begin, step.pause_ns) for step in steps] == [(700, 0), (MS, 0)]
