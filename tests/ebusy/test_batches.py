"""A window is the same however rows and evidence are cut into batches, and whatever is dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ebusy.streams import MS
from tests.ebusy.test_soundness import STEP, UMOUNTERS, WITHIN_NS, Tasks, World, act_until_free
from tests.stats.rows import T0_NS, batch_of
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.ebusy import watches
from umtrace.ebusy.detector import EbusyDetector
from umtrace.model.events import EventBatch
from umtrace.model.evidence import Evidence
from umtrace.pipeline import offline
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.recording import Recording

RECORDING = Path(__file__).parents[2] / "recordings" / "lab-ebusy.umt"
SIZES = (1, 8, 32, 128, 10**6)
SECOND = 1000 * MS


def _end(row):
    return row["t_start"] + row["latency_ns"]


def _windows(rows, evidence, size, early_ns=0):
    """Return the windows of rows that come so many at a time, each time with the evidence up to
    their end, and to some time after it: a live reader has that much, too."""
    detector, found, pieces = EbusyDetector(), [], evidence.in_order()
    for at in range(0, len(rows), size):
        batch, rest = rows[at : at + size], at + size < len(rows)
        until = max(map(_end, batch)) + early_ns if rest else float("inf")
        come = [piece for piece in pieces if piece[0] <= until]
        pieces = pieces[len(come) :]
        names = {name for _, name, _ in come}
        named = {name: tuple(p for _, of, p in come if of == name) for name in names}
        found += detector.feed(batch_of(batch), evidence=Evidence(**named))
    return found + detector.finish()


def _history(lives):
    """Return rows and evidence of mounts that have the same address, one after the other."""
    rows, walks, checks, skips = [], [], [], []
    for number, steps in enumerate(lives):
        world = World(earlier=64, events=24)
        world.now = T0_NS + number * 60 * SECOND
        tasks = Tasks(world)
        world.take(UMOUNTERS[0], noted=False)
        tasks.files.append((60, -1, None))
        world.umount(UMOUNTERS[0])
        act_until_free(world, tasks, steps)
        rows += [row | {"mount_id": number} for row in world.rows]
        walks += world.walks
        checks += world.checks
        skips += world.skips
    return rows, Evidence(walks=tuple(walks), checks=tuple(checks), skips=tuple(skips))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(STEP, min_size=1, max_size=15), min_size=1, max_size=6),
    st.sampled_from([1, 2, 5, 256]),
    st.sampled_from([0, 50 * MS, 3000 * SECOND]),
)
def test_batches_of_any_size_give_the_same_windows(lives, most_of_watch, early_ns):
    rows, evidence = _history(lives)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "MOST_OF_WATCH", most_of_watch)
        expected = _windows(rows, evidence, 1)
        for size in SIZES[1:]:
            assert _windows(rows, evidence, size, early_ns) == expected
        assert _windows(rows, evidence, 1, early_ns) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=25), st.sampled_from([1, 2, 3, 5]))
def test_what_is_dropped_frees_no_mount(steps, most_of_watch):
    """The first mount is held for longer than the threshold by a file of task 60."""
    world = World()
    tasks = Tasks(world)
    world.take(60, noted=False)
    world.umount(UMOUNTERS[0])
    for action, tid, pause in steps:
        world.now += pause
        tasks.act(action, tid)
    world.now = max(world.now, world.rows[0]["t_start"] + WITHIN_NS + MS)
    tasks.leave(60)
    world.put(60, -1)
    tasks.end()
    walks, checks, skips = map(tuple, (world.walks, world.checks, world.skips))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "MOST_OF_WATCH", most_of_watch)
        evidence = Evidence(walks=walks, checks=checks, skips=skips)
        first = _windows(world.rows, evidence, 10**6)[0]
    assert first.spurious is not True, first.evidence


@pytest.mark.parametrize("size", SIZES)
def test_many_mounts_of_one_address_all_have_their_walks(size):
    """300 mounts, 60 puts each, in one batch: kept by address, the first ones would have none."""
    lives = [[("stat", 50, 20_000)] * 60] * 300
    rows, evidence = _history(lives)
    found = _windows(rows, evidence, size)
    assert len(evidence.walks) > 300 * 24
    assert [w.klass for w in found] == ["transient-ref"] * 300
    assert all(w.walkers for w in found)


def _cut(events, size):
    return [events[at : at + size] for at in range(0, len(events), size)]


def _live(opened, size):
    """Return the windows of events that are read so many at a time, without the names."""
    clock, tier = opened.meta.clock, opened.meta.tier
    correlator = UmountCorrelator(clock_offset_ns=clock.offset_ns, tier=tier)
    stage = EbusyStage(offset_ns=clock.offset_ns, recorded=offline._scans(opened))
    events = np.concatenate([batch.events for batch in opened.event_batches()])
    found = []
    for at in range(0, len(events), size):
        some = events[at : at + size]
        found += stage.feed(correlator.feed(EventBatch(some)), some).windows
    return found + stage.feed(correlator.finish()).windows + stage.finish().windows


def _told(windows):
    """Return what was said of each umount, whose path is known from its name only."""
    return sorted((w.umount_id, w.klass, w.spurious, w.hold, w.walkers) for w in windows)


def test_a_recording_is_judged_live_as_it_is_read_again(monkeypatch):
    opened, again = Recording.open(RECORDING), []
    for size in SIZES:
        monkeypatch.setattr(offline, "_ROWS_WITH_EVIDENCE", size)
        again.append(list(offline.ebusy_windows(opened)))
    assert all(windows == again[0] for windows in again)
    assert len({w.klass for w in again[0]}) > 3
    assert len(again[0]) == 120
    for size in (50, 1000, 10**6):
        assert _told(_live(opened, size)) == _told(again[0])
