"""What is read of a kernel is all that a plan can name."""

from __future__ import annotations

import pytest

from umtrace.diagnosis import diagnose
from umtrace.kernel.tracefs import Tracefs
from umtrace.probes.capabilities import PROBED, WANTED
from umtrace.probes.purposes import PURPOSES, SUBSTITUTES


def test_every_function_of_a_meaning_is_looked_for():
    functions = {c.function for meaning in PURPOSES for c in meaning.candidates}
    functions |= {function for function, _stands_for in SUBSTITUTES}
    assert functions == PROBED
    assert {name.encode() for name in functions} <= WANTED


@pytest.mark.kernel
def test_a_tracefs_without_kprobe_events_is_not_a_missing_function():
    with Tracefs() as tracefs:
        if "kprobe_events" in tracefs.names("."):
            pytest.skip("this kernel makes kprobe events (CONFIG_KPROBE_EVENTS)")
    reasons = {tier.tier: tier.reason for tier in diagnose().tiers}
    for tier in ("kprobe", "ftrace"):
        assert "this tracefs has no kprobe events to make" in reasons[tier]
        assert "No such file" not in reasons[tier]
