"""A stolen final put, from events to the window, and what must not be taken for one."""

from __future__ import annotations

import pytest

from tests.builders import split
from tests.correlate.test_functions import DYING, Functions, sync_steps
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.ebusy.counters import WalkCounters
from umtrace.model.events import Kind
from umtrace.pipeline.ebusy import EbusyStage

UMOUNTER, THIEF = 7, 50
MNT_DETACH = 2
PATH = b"/mnt/usb"


def stream(*, thief, flags=0, own=False):
    """Return a plain umount that returns at 0.5 us, and the walker's events (time, kind, ret)."""
    events = Functions().path(100, UMOUNTER, PATH)
    events.probed(UMOUNTER, 100, steps=sync_steps(cleanup=own, returned=1500), flags=flags)
    for ts, kind, ret in thief:
        events.foreign(ts, THIEF, kind, ret=ret, a=DYING, comm=b"updatedb")
    return events.batch()


def windows(batch, cuts=()):
    """Return the windows and the counters, as the pipeline makes them of batches."""
    correlator, stage = UmountCorrelator(clock_offset_ns=0, tier="fentry"), EbusyStage()
    counters, found = WalkCounters(), []
    for part in split(batch, cuts):
        rows = correlator.feed(part)
        counters.add(rows)
        found += stage.feed(rows, part.events).windows
    rows = correlator.finish()
    counters.add(rows)
    found += stage.feed(rows).windows
    return found + stage.finish().windows, counters


STEALS = (
    (300, Kind.WALK, -1),  # sees neither the mount's flag nor that its reference is one too many
    (800, Kind.PUT, 0),
    (900, Kind.CLEANUP, 0),
    (1200, Kind.CLEANUP_EXIT, 0),
)


@pytest.mark.parametrize("cut", [(), (3,), (8, 12), tuple(range(1, 16))])
def test_it_is_found_and_the_thief_named(cut):
    (window,), counters = windows(stream(thief=STEALS), cut)
    assert (window.klass, window.spurious) == ("stolen-put", True)
    assert (window.begin_ns, window.end_ns) == (510, 1200)
    assert {(w.tid, w.comm) for w in window.walkers} == {(THIEF, "updatedb")}
    assert "put" in {w.what for w in window.walkers}
    assert (counters.stolen, counters.puts_known, counters.must_put) == (1, 1, 1)


@pytest.mark.parametrize(
    ("look_alike", "klass"),
    [
        # A fixed kernel: the walker sees the flag under the lock, and backs off.
        ({"thief": ((300, Kind.WALK, 1),), "own": True}, []),
        # It had to put its own, and did so before umount's last put.
        ({"thief": STEALS[:2], "own": True}, []),
        # A lazy umount leaves the last put to whoever is last, as documented.
        ({"thief": STEALS, "flags": MNT_DETACH}, ["lazy-tail"]),
    ],
)
def test_look_alikes(look_alike, klass):
    found, counters = windows(stream(**look_alike))
    assert [window.klass for window in found] == klass
    assert not counters.stolen
