"""The reader's priority follows the fill of the ring, and its waits follow the events."""

from __future__ import annotations

import errno
import os
from contextlib import closing

import pytest

from tests.builders import Stream
from umtrace.model.events import EventBatch
from umtrace.pipeline import READER_NICE, Until, run, steps
from umtrace.pipeline.pace import (
    IDLE_AFTER_S,
    IDLE_TICK_S,
    LOWER_AFTER_S,
    LOWER_FILL,
    RAISE_FILL,
    TICK_S,
    WAITING_NICE,
    LivePace,
    ReaderPriority,
)
from umtrace.sources.fake import FakeSource

HIGH, BETWEEN, LOW = RAISE_FILL * 2, (RAISE_FILL + LOWER_FILL) / 2, 0.0
BEFORE = os.getpriority(os.PRIO_PROCESS, 0)
RAISED = min(BEFORE, READER_NICE)
WAITING = min(BEFORE, WAITING_NICE)


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self):
        return self.now

    def after(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def priority(clock, changes):
    return ReaderPriority(renice=changes.append, clock=clock)


def test_it_is_raised_once_while_the_ring_fills(priority, changes):
    for fill in (LOW, BETWEEN, HIGH, HIGH, BETWEEN):
        priority.note(fill)
    assert changes == [RAISED]


def test_it_is_lowered_only_after_the_ring_was_nearly_empty_for_a_while(priority, changes, clock):
    priority.note(HIGH)
    clock.after(LOWER_AFTER_S - 0.1)
    priority.note(LOW)
    priority.note(BETWEEN)  # begins again
    clock.after(LOWER_AFTER_S - 0.1)
    priority.note(LOW)
    assert changes == [RAISED]
    clock.after(0.2)
    priority.note(LOW)
    priority.note(LOW)
    assert changes == [RAISED, BEFORE]


def test_a_fill_that_is_not_known_keeps_it_raised(priority, changes, clock):
    for _ in range(3):
        priority.note(None)
        clock.after(2 * LOWER_AFTER_S)
    assert changes == [RAISED]


def test_it_is_restored_once_and_only_if_it_was_raised(priority, changes):
    priority.close()
    priority.note(HIGH)
    priority.close()
    priority.close()
    assert changes == [RAISED, BEFORE]


def test_it_sleeps_with_the_higher_one_and_works_with_its_own(priority, changes):
    for _ in range(2):
        priority.sleep()
        priority.note(LOW)
        priority.woke(busy=False)
    assert changes == [WAITING, BEFORE] * 2


def test_an_ebusy_is_handled_with_the_higher_one(priority, changes):
    priority.sleep()
    priority.note(LOW)
    priority.woke(busy=True)
    assert changes == [WAITING]
    priority.sleep()
    priority.woke(busy=False)
    assert changes == [WAITING, BEFORE]


def test_a_run_knows_an_ebusy_by_its_events(priority, changes):
    busy = Stream().umount(3, 5000, ret=-errno.EBUSY).batch()
    source = FakeSource([*batches(2), busy], fills=[LOW] * 3)
    ticks = steps(source, until=Until(), pace=LivePace(priority))
    with closing(priority), closing(ticks):
        seen = [list(changes) for _ in ticks]
    assert seen[1:3] == [[WAITING, BEFORE], [WAITING, BEFORE, WAITING]]


def test_waits_are_longer_while_nothing_comes(priority, clock):
    pace = LivePace(priority, clock=clock)
    pace.note(LOW, 0)
    assert pace.wait_s == TICK_S
    clock.after(IDLE_AFTER_S)
    assert pace.wait_s == IDLE_TICK_S
    pace.note(LOW, 1)
    assert pace.wait_s == TICK_S


def test_waits_stay_short_where_the_source_would_not_end_them(priority, clock):
    pace = LivePace(priority, clock=clock)
    clock.after(IDLE_AFTER_S)
    pace.note(None, 0)
    assert pace.wait_s == TICK_S


@pytest.mark.parametrize(("left", "wait"), [(0.01, 0.01), (0.0, 0.001), (9.0, TICK_S)])
def test_no_wait_is_longer_than_the_run(priority, clock, left, wait):
    # A wait of 0 would be the last.
    assert LivePace(priority, left_s=lambda: left, clock=clock).wait_s == wait


def test_a_run_of_some_seconds_knows_how_long_it_lasts():
    until = Until(seconds=5)
    assert until.left_s == float("inf")  # it did not begin
    until.begin()
    assert 4 < until.left_s <= 5
    over = Until(seconds=0)
    over.begin()
    assert over.left_s == 0


def batches(count):
    stream = Stream()
    return [stream.umount(number, 5000).batch() for number in range(1, count + 1)]


def test_a_run_follows_the_fill_of_its_source(priority, changes):
    """And what it starts when it is ready inherits nothing."""
    at_ready = []
    source = FakeSource(batches(4), fills=[HIGH, LOW, HIGH, LOW])
    ticks = steps(
        source,
        until=Until(),
        on_ready=lambda: at_ready.extend(changes),
        pace=LivePace(priority),
    )
    with closing(priority), closing(ticks):
        seen = [list(changes) for _ in ticks]
    assert at_ready == []
    slept = [WAITING, BEFORE]
    assert seen[:3] == [[], slept, [*slept, WAITING, RAISED]]
    assert changes == [*slept, WAITING, RAISED, BEFORE]


class Watches:
    """A sink that reads the priority of the thread that it is called in, for real."""

    def __init__(self):
        self.seen = []

    def opened(self, run):
        return closing(self)

    def take(self, tick):
        self.seen.append(os.getpriority(os.PRIO_PROCESS, 0))

    def finish(self):
        pass

    def close(self):
        pass


def raised_here():
    """Return what a raise of this thread gives: without the right to it, the same."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, RAISED)
    except OSError:
        return BEFORE
    os.setpriority(os.PRIO_PROCESS, 0, BEFORE)
    return RAISED


@pytest.mark.parametrize(
    ("fills", "raised"), [([LOW, LOW, HIGH], [False, False, True]), (None, [False, True, True])]
)
def test_the_thread_itself_is_raised_and_restored(fills, raised):
    sink = Watches()
    run(FakeSource([EventBatch()] * 3, fills=fills), [sink], until=Until())
    assert sink.seen[:3] == [raised_here() if up else BEFORE for up in raised]
    assert os.getpriority(os.PRIO_PROCESS, 0) == BEFORE
