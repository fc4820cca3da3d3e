"""What the kernel counted against what was read."""

from __future__ import annotations

from umtrace.sources.ftrace.hit_count import NEVER_CAME, HitCount


class Profile:
    """The part of an instance that is asked: its counts, one look after the other."""

    def __init__(self, *profiles):
        self._profiles = list(profiles)

    def profile(self):
        return self._profiles.pop(0)


def tally(*profiles):
    found = HitCount(Profile({"um_enter": (5, 0), "um_walk": (9, 0)}, *profiles), ["um_enter"])
    found.read_profile()
    return found


def test_every_hit_since_the_start_came():
    assert tally({"um_enter": (15, 0), "um_walk": (99, 0)}).missing({"um_enter": 10}, 0) == {}


def test_a_record_that_came_after_the_count_is_no_loss():
    assert tally({"um_enter": (15, 0)}).missing({"um_enter": 12}, 0) == {}


def test_hits_that_never_came_are_counted_less_those_known_to_be_lost():
    seen = tally({"um_enter": (105, 0)})
    assert seen.missing({"um_enter": 40}, 0) == {NEVER_CAME: 60}
    assert seen.missing({"um_enter": 40}, 25) == {NEVER_CAME: 35}
    assert seen.missing({"um_enter": 40}, 80) == {}


def test_misses_are_told_by_event():
    assert tally({"um_enter": (5, 3), "um_walk": (9, 0)}).missing({}, 0) == {"um_enter": 3}


def test_a_profile_that_cannot_be_read_says_nothing():
    assert tally(None).missing({}, 0) == {}
