"""By whose clock a walker was in the way, and for how long."""

from __future__ import annotations

import time
from contextlib import closing

from tests.scenarios.passes import SlowPasses


def test_the_pass_under_way_at_a_moment_and_no_other():
    inside = []

    def linger():
        inside.append(time.monotonic_ns())
        time.sleep(0.005)

    with closing(SlowPasses()) as passes:
        before = time.monotonic_ns()
        passes.time(linger)
        passes.time(linger)
        after = time.monotonic_ns()
        assert passes.longest_after(before, before) == passes.longest_after(after, after) == 0
        first, second = inside
        assert 5_000_000 <= passes.longest_after(first, first) < second - first
        assert 5_000_000 <= passes.longest_after(before, first) < second - before
