"""Which rows belong together: compared with the definition, taken literally."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from umtrace.teardowns.bursts import bursts, ended

GAP = 10
ROW = st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(0, 30), st.booleans())


def literally(rows):
    """Return the burst of each row: go through an owner's rows by begin, and look back at all."""
    found, number = [0] * len(rows), -1
    for owner in sorted({row[0] for row in rows}):
        mine = sorted((b, b + d, n) for n, (o, b, d, _) in enumerate(rows) if o == owner)
        closed = [b + d for o, b, d, closes in rows if closes and o == owner]
        reached, life = None, None
        for begin, end, place in mine:
            now = sum(each <= begin for each in closed)
            if reached is None or begin > reached + GAP or now != life:
                number, reached = number + 1, end
            reached, life = max(reached, end), now
            found[place] = number
    return found


@settings(deadline=None, max_examples=300)
@given(st.lists(ROW, max_size=12))
def test_as_the_definition_says(rows):
    owner, begin, lasted, closes = (
        np.array(column, np.int64) for column in (zip(*rows, strict=True) if rows else [[]] * 4)
    )
    got = bursts(owner, begin, begin + lasted, np.where(closes, owner, -1), GAP)
    same = got[:, None] == got
    expected = np.array(literally(rows), np.int64)
    assert (same == (expected[:, None] == expected)).all()
    assert sorted(set(got.tolist())) == list(range(len(set(got.tolist()))))


def test_a_number_that_is_given_again_is_another_namespace():
    owner, begin = np.zeros(3, np.int64), np.array([0, 5, 9], np.int64)
    end, closes = np.array([4, 8, 12], np.int64), np.array([False, True, False])
    assert bursts(owner, begin, end, np.where(closes, owner, -1), 1000).tolist() == [0, 0, 1]


_EXIT = "ns-exit"


def _ends(rows):
    """`ended` of rows (tid, namespace or None, origin), one after the other."""
    tid = np.array([tid for tid, _, _ in rows], np.int64)
    owner = np.array([-1 if space is None else space for _, space, _ in rows], np.int64)
    exits = np.array([origin == _EXIT for *_, origin in rows])
    return ended(tid, owner, np.arange(len(rows)), exits, owner >= 0).tolist()


def test_an_end_of_unknown_number_is_of_the_namespace_of_its_task():
    """A task unmounts in a namespace, and goes back to its own; the number is given again."""
    rows = [(1, 5, "umount"), (2, 6, "umount"), (1, None, _EXIT), (3, 5, "umount")]
    assert _ends(rows) == [-1, -1, 5, -1]
    assert _ends([(2, 5, "umount"), (1, None, _EXIT), (2, 5, "umount")]) == [-1, -1, -1]


def test_a_task_that_is_still_in_its_namespace_ended_another_one():
    rows = [(1, 5, "umount"), (1, None, _EXIT), (1, 5, "umount"), (1, None, _EXIT)]
    assert _ends(rows) == [-1, -1, -1, 5]


def test_an_end_of_known_number_is_of_that():
    assert _ends([(1, 5, "umount"), (1, 6, _EXIT), (2, 5, "umount")]) == [-1, 6, -1]
