"""The programs of bpf/ and the translator of ftrace records make the same rows of the same calls.

The state machine of an operation exists twice. Here both run in this process, over calls that
hypothesis makes up, in several tasks at once.
"""

from __future__ import annotations

import ctypes
import random

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.twin.programs import Programs
from tests.twin.world import CALLERS, CONSTANTS, EBUSY, EINVAL, ENOENT, Mount, Task, World
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.translate import Translator

UNMOUNTED = ctypes.c_uint64(0)
#: columns in which the two may differ, and why
DIFFERENT = {
    "n_held": "ftrace does not read the counts of CPUs",
    "mntns": "ftrace reads that of the mount, which is the task's own if the busy check passed",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    where = {"UM_ADDR_UNMOUNTED": f"{ctypes.addressof(UNMOUNTED)}ULL"}
    return Programs(tmp_path_factory.mktemp("programs"), {**CONSTANTS, **where})


class Twins:
    """Shows hits to both state machines."""

    def __init__(self, programs):
        self.programs, self.now, self.records = programs, 1_000_000, []
        programs.reset()

    def see(self, task, hit):
        self.now += 10
        host = self.programs.host
        host.now_ns, host.pid_tgid = self.now, task.tid << 32 | task.tid
        host.task, host.comm = ctypes.addressof(task.struct), task.comm
        host.stack = (ctypes.c_uint64 * 8)(*hit.stack)
        how, *words = hit.program
        getattr(self.programs, how)(*words)
        self.records += [Record(self.now, task.tid, 0, name, of) for name, of in hit.records]

    def rows(self):
        """Return the rows of the programs, and those of the translator."""
        translator = Translator(TaskTracker(), CALLERS.get, shift=Mount.root.offset, watching=False)
        batches = translator.feed(self.records), translator.finish()
        return rows_of(self.programs.take()), rows_of(*batches)


def rows_of(*batches):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    found = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    found += correlator.finish().to_pylist()
    for row in found:
        del row["id"]
    return sorted(found, key=lambda row: (row["t_start"], row["tid"], row["origin"]))


def run(programs, plans, order):
    """Run what tasks do, in an order that ``order`` chooses; return the rows of both."""
    world, twins = World(UNMOUNTED), Twins(programs)
    tasks = [Task(world, 100 + number) for number in range(len(plans))]
    going = [(task, calls(task, plan)) for task, plan in zip(tasks, plans, strict=True)]
    while going:
        turn = order.choice(going)
        try:
            hit = next(turn[1])
        except StopIteration:
            going.remove(turn)
            continue
        if hit is not None:
            twins.see(turn[0], hit)
    return twins.rows()


def differences(one, other):
    """Return what differs, without what ftrace may leave unknown."""
    return {
        name: (value, other[name])
        for name, value in one.items()
        if value != other[name] and not (name in DIFFERENT and other[name] is None)
    }


def calls(task, plan):
    for name, options in plan:
        yield from getattr(task, name)(**options)
    yield from task.exits()


NUMBERS = st.sets(st.integers(0, 3))
TREE = {
    "mounts": st.integers(1, 4), "held": NUMBERS, "shared": NUMBERS,
    "gp": st.sampled_from([None, "own", "joined", "normal"]),
}  # fmt: skip
INSIDE = st.none() | st.fixed_dictionaries(TREE)
UMOUNT = {
    **TREE, "lazy": st.booleans(), "fails": st.sampled_from([0, 0, 0, EBUSY, EINVAL, ENOENT]),
    "copy": st.booleans(), "inside": INSIDE,
}  # fmt: skip
CALL = st.one_of(
    st.tuples(st.just("umount"), st.fixed_dictionaries(UMOUNT)),
    st.tuples(st.just("teardown"), st.fixed_dictionaries({**TREE, "inside": INSIDE})),
    st.tuples(st.just("closes"), st.fixed_dictionaries({**TREE, "inside": INSIDE})),
    st.tuples(st.just("puts"), st.fixed_dictionaries({"inside": INSIDE})),
)
PLANS = st.lists(st.lists(CALL, min_size=1, max_size=3), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.generate))
@example(plans=[[("closes", {"mounts": 3})]], order=random.Random(0))
@example(plans=[[("closes", {"held": {0}}), ("puts", {})]], order=random.Random(0))
@example(plans=[[("umount", {"mounts": 2, "inside": {"held": {0}}})]], order=random.Random(0))
@given(plans=PLANS, order=st.randoms(use_true_random=False))
def test_the_same_rows(programs, plans, order):
    mine, theirs = run(programs, plans, order)
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert differences(one, other) == {}
