from __future__ import annotations

import numpy as np
import pytest

from umtrace.model.events import EVENT_DTYPE, Kind
from umtrace.sources.bpf import adaptive as module


class Probes:
    def __init__(self, *, adaptive):
        self.calls = []
        self.probes = module.AdaptiveProbes(
            attach=lambda: self.calls.append("attach"),
            detach=lambda: self.calls.append("detach"),
            announce=self.calls.append,
            adaptive=adaptive,
        )


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def events(*rows):
    batch = np.zeros(len(rows), EVENT_DTYPE)
    for event, (ts, tid, kind, ret) in zip(batch, rows, strict=True):
        event["ts_ns"], event["tid"], event["kind"], event["ret"] = ts, tid, kind, ret
    return batch


QUIET = events((0, 1, Kind.EXIT, 0), (0, 1, Kind.RCU, 0), (9, 1, Kind.RCU_EXIT, 0))
BUSY = events((0, 1, Kind.EXIT, -16))
SLOW = events((0, 1, Kind.RCU, 0), (5, 2, Kind.RCU, 0), (200_000_000, 1, Kind.RCU_EXIT, 0))


def test_full_watches_from_the_start_and_for_good(clock):
    probes = Probes(adaptive=False)
    clock[0] = 1000
    probes.probes.update(BUSY)
    probes.probes.update(QUIET)
    assert probes.calls == ["attach", True]


@pytest.mark.parametrize("trigger", [BUSY, SLOW])
def test_adaptive_watches_for_a_while_after_something_showed_up(clock, trigger):
    probes = Probes(adaptive=True)
    probes.probes.update(QUIET)
    assert probes.calls == []
    probes.probes.update(trigger)
    assert probes.calls == ["attach", True]
    clock[0] = 8
    probes.probes.update(trigger)  # prolongs it
    clock[0] = 12
    probes.probes.update(QUIET)
    assert probes.probes.watching
    clock[0] = 19
    probes.probes.update(events())
    assert probes.calls == ["attach", True, False]
    assert (probes.probes.times, probes.probes.watched_s) == (1, 19)
    clock[0] = 24  # umounts that began before have ended by now
    probes.probes.update(events())
    assert probes.calls == ["attach", True, False, "detach"]


def test_adaptive_watches_again_before_it_has_let_go(clock):
    probes = Probes(adaptive=True)
    probes.probes.update(BUSY)
    clock[0] = 11
    probes.probes.update(QUIET)
    clock[0] = 12
    probes.probes.update(BUSY)
    assert probes.calls == ["attach", True, False, True]
    assert (probes.probes.times, probes.probes.watched_s) == (2, 11)


def test_another_failure_is_no_trigger(clock):
    probes = Probes(adaptive=True)
    probes.probes.update(events((0, 1, Kind.EXIT, -22)))
    assert not probes.calls
