"""Whatever else happens on a mount: who holds it is never called a passer-by.

A small model of a mount and of the probes on it makes up what happens, as the kernel and
bpf/armed.h do, hits that are skipped included; the judge sees the records alone.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ebusy.streams import MS, busy, umount, windows_of
from tests.stats.rows import T0_NS
from umtrace.model.events import ARMING_MASK, ARMING_NS_SHIFT
from umtrace.model.evidence import Check, Evidence, Skip, Walk
from umtrace.model.pathcalls import PATH_CALLS

MNT, MOUNT_ID = 0xFFFF888000001000, 5
HOLDER, UMOUNTERS = 60, (9, 10)
WALKERS = (50, 51, HOLDER)
STAT, OPEN, CLOSE = 4, 257, 3
WATCH_NS, WITHIN_NS = 1000 * MS, 10 * MS


class World:
    """A mount that one task holds, and what the probes say of it."""

    def __init__(self, *, earlier=64, events=24):
        self.budgets = {"earlier": earlier, "events": events}
        self.now = T0_NS
        self.references = 1
        self.watch = None
        self.taken = Counter()
        self.walks, self.checks, self.rows, self.skips = [], [], [], []
        self.skipping = False

    def armed(self):
        if self.watch and self.now > self.watch["until"]:
            self.watch = None
        return self.watch

    def arm(self):
        if not self.armed() or self.watch["blind"]:
            self.watch = {"since": self.now, "inside": 0, "settled": False, "blind": False}
            self.watch |= self.budgets
            self.taken.clear()
        self.watch["until"] = self.now + WATCH_NS

    def number(self):
        watch = self.watch
        return None if watch["blind"] else (watch["since"] >> ARMING_NS_SHIFT) & ARMING_MASK

    def say(self, tid, what, **more):
        if not self.skipping:
            self.walks.append(Walk(self.now, tid, "task", MNT, what, pid=tid, **more))

    def settles(self, own):
        watch = self.watch
        if watch["settled"] or watch["blind"] or self.references - 1 - own > watch["inside"]:
            return False
        watch["settled"] = True
        return True

    def take(self, tid, *, noted=True):
        self.references += 1
        if noted and not self.skipping and self.armed():
            self.taken[tid] += 1
            self.watch["inside"] += 1
            if self.spend("events"):
                self.say(tid, "legitimized")

    def spend(self, budget):
        left = self.watch[budget]
        self.watch[budget] -= left > 0
        return left > 0

    def untake(self, tid):
        if not self.armed() or not self.taken[tid]:
            return False
        self.taken[tid] -= 1
        self.watch["inside"] -= 1
        return True

    def note(self):
        """A file is opened: return what is noted of it, None where nothing is."""
        return self.watch["since"] if self.armed() and not self.skipping else None

    def claim(self, tid, noted):
        """A file is closed for the last time, by this task: the put that follows is its put."""
        if noted and self.armed() and not self.skipping and noted == self.watch["since"]:
            self.taken[tid] += 1
            self.watch["inside"] += 1

    def put(self, tid, syscall):
        if self.armed() and not self.skipping:
            since, earlier = self.untake(tid), False
            if not since and not self.watch["blind"]:
                earlier = self.spend("earlier")
                self.watch["blind"] |= not earlier and syscall not in PATH_CALLS
            settled, free = self.settles(1), self.references == 2
            if settled or earlier or free or self.spend("events"):
                number, left = self.number(), self.references - 1
                told = {"settled": settled, "earlier": earlier, "arming": number, "left": left}
                self.say(tid, "put", syscall=syscall, **told)
            if free:
                self.watch = None
        self.references -= 1

    def umount(self, tid):
        """Call umount(2); return whether it succeeded."""
        begin = self.now
        self.take(tid)
        self.untake(tid)
        self.now += 30_000
        refcount, good = self.references, self.references == 2
        if not good:
            self.arm()
            self.checks.append(Check(self.now, tid, MNT, "refcount", refcount))
        self.now += 10_000
        self.references -= 1
        if self.armed():
            left = self.references if not good else None
            self.say(tid, "returned", left=left, settled=self.settles(0), arming=self.number())
            if good or left == 1:
                self.watch = None
        self.now += 10_000
        took = (self.now - begin) / MS
        more = {"tid": tid, "tier": "fentry", "mount_id": MOUNT_ID, "refcount": refcount}
        at = (begin - T0_NS) / MS
        row = umount(at, took_ms=took, **more) if good else busy(at, took_ms=took, **more)
        self.rows.append(row)
        return good


ACTIONS = st.sampled_from(["retry", "stat", "open", "fail", "fork", "out", "close", "skip"])
PAUSES = st.sampled_from([20_000, 200_000, 3 * MS, 9 * MS, 40 * MS, 700 * MS, 1100 * MS])
STEP = st.tuples(ACTIONS, st.sampled_from(WALKERS), PAUSES)


class Tasks:
    """What each task is in: at most one system call that walks, and files that it has open."""

    def __init__(self, world):
        self.world, self.calls, self.files = world, {}, []

    def act(self, action, tid):
        """Have a task do something; one that is inside a call comes out of it first."""
        if action == "retry":
            self.world.umount(UMOUNTERS[tid % 2])
        elif action == "skip":
            self.skip()
        else:
            self.leave(tid)
        if action in {"stat", "open", "fail"}:
            self.world.take(tid)
            self.calls[tid] = action
        elif action == "fork":  # it has a copy of a file, whose reference nobody sees taken
            self.world.take(tid, noted=False)
            self.files.append((tid, CLOSE, None))
        elif action == "close" and self.files:
            tid, call, noted = self.files.pop(0)
            self.leave(tid)
            self.world.claim(tid, noted)
            self.world.put(tid, call)

    def leave(self, tid):
        """Have it come out of its call; one that opened a file has that now."""
        call = self.calls.pop(tid, None)
        if call == "open":
            noted = self.world.note()
            self.world.take(tid, noted=False)
            self.files.append((tid, -1, noted))
        if call:
            self.world.put(tid, STAT if call == "stat" else OPEN)

    def skip(self):
        """Begin to skip hits of the probes, or go on to see them."""
        world = self.world
        if world.skipping:
            world.skips.append(Skip(world.skipping, world.now))
        world.skipping = False if world.skipping else world.now

    def end(self):
        """Have everybody leave."""
        if self.world.skipping:
            self.skip()
        for tid in list(self.calls):
            self.leave(tid)
        for tid, call, noted in self.files:
            self.world.claim(tid, noted)
            self.world.put(tid, call)


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(STEP, max_size=4),
    st.lists(STEP, min_size=1, max_size=25),
    st.lists(STEP, max_size=8),
    st.sampled_from([CLOSE, -1, None]),
    st.sampled_from([1, 3, 64]),
    st.sampled_from([0, 2, 24]),
)
def test_no_holder_is_ever_called_a_passer_by(before, meanwhile, after, syscall, earlier, events):
    world = World(earlier=earlier, events=events)
    tasks = Tasks(world)
    world.take(HOLDER, noted=False)
    for action, tid, pause in before:
        world.now += pause
        if action not in {"retry", "skip"}:
            tasks.act(action, tid)
    world.umount(UMOUNTERS[0])
    first_end = world.now
    for action, tid, pause in meanwhile:
        world.now += pause
        tasks.act(action, tid)
    world.now = max(world.now, first_end + WITHIN_NS + 1)
    tasks.leave(HOLDER)
    world.put(HOLDER, syscall)
    act_until_free(world, tasks, after)
    walks, checks, skips = map(tuple, (world.walks, world.checks, world.skips))
    evidence = Evidence(walks=walks, checks=checks, skips=skips)
    first = windows_of(world.rows, evidence=evidence)[0]
    assert first.spurious is not True, first.evidence


def act_until_free(world, tasks, steps):
    """Act until an umount has succeeded; the last one does."""
    for action, tid, pause in steps:
        world.now += pause
        if not said_free(world):
            tasks.act(action, tid)
    tasks.end()
    world.now += MS
    if not said_free(world):
        world.umount(UMOUNTERS[1])


def said_free(world):
    """Whether an umount has succeeded."""
    return world.rows[-1]["errno"] == 0
