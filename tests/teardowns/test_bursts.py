"""Which rows belong together: compared with the definition, taken literally."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from umtrace.teardowns.bursts import bursts

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
    got = bursts(owner, begin, begin + lasted, closes.astype(np.bool_), GAP)
    same = got[:, None] == got
    expected = np.array(literally(rows), np.int64)
    assert (same == (expected[:, None] == expected)).all()
    assert sorted(set(got.tolist())) == list(range(len(set(got.tolist()))))


def test_a_number_that_is_given_again_is_another_namespace():
    owner, begin = np.zeros(3, np.int64), np.array([0, 5, 9], np.int64)
    end, closes = np.array([4, 8, 12], np.int64), np.array([False, True, False])
    assert bursts(owner, begin, end, closes, 1000).tolist() == [0, 0, 1]
