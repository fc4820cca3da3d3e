"""Times in which not everything was seen, joined where they are near each other."""

from __future__ import annotations

import pytest

from umtrace.ebusy.holes import Holes

MS = 1_000_000


def holes(*spans):
    found = Holes()
    for begin, end in spans:
        found.add(begin, end)
    return found


@pytest.mark.parametrize("begin", [0, 1, 5 * MS])
def test_the_first_hole_may_begin_at_any_time(begin):
    assert holes((begin, begin + MS)).first(1, 10 * MS) == max(begin, 1)


def test_a_hole_soon_after_another_is_part_of_it():
    found = holes((0, 1), (MS, 2 * MS))
    assert found.first(MS // 2, MS // 2) == MS // 2


def test_a_hole_long_after_another_is_not():
    assert holes((0, 1), (3 * MS, 4 * MS)).first(2, 2 * MS) is None


def test_the_oldest_of_too_many_reach_back_to_the_start():
    found = holes(*((n * 3 * MS, n * 3 * MS) for n in range(1, 4098)))
    assert (found.dropped, found.first(1, 2)) == (1, 1)
    assert found.first(3 * MS + 1, 3 * MS + 2) is None
