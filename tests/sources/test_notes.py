"""Events that are noted first are the same events, in the same order: bpf/notes.h."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from tests.sources.by_hand import Handlers
from umtrace.model.kinds import Kind, Loss
from umtrace.sources.bpf.source import EVENT_RING_BYTES

pytestmark = pytest.mark.kernel

MOUNT = 0x1000  # cannot be read
RECORD = 72
EBUSY = -16


def enter(do):
    do("entry___x64_sys_umount", 0)
    do("entry_path_umount", 0, 0)


def check(do, busy=0, count=2):
    do("entry_propagate_mount_busy", MOUNT, 2)
    do("return_mnt_get_count", MOUNT, count)
    do("return_propagate_mount_busy", MOUNT, 2, busy)


def unlock(do, *, waits=True):
    do("entry_namespace_unlock", 0)
    if waits:
        wait(do)
        do("return_synchronize_rcu_expedited", 0)
    do("return_namespace_unlock", 0)


def wait(do):
    do("entry_synchronize_rcu_expedited", 0)
    do("return_exp_funnel_lock", 8, 0)


def leave(do, ret=0):
    do("return_path_umount", 0, 0, ret)
    do("return___x64_sys_umount", 0, ret)


def umount(do, works=0, *, lazy=False, waits=True):
    enter(do)
    do.set_flags(works)
    if not lazy:
        check(do)
    do("entry_umount_tree", MOUNT, 2)
    unlock(do, waits=waits)
    leave(do)
    for number in range(works):
        do("entry_cleanup_mnt", MOUNT + 64 * number)
        do("return_cleanup_mnt", MOUNT + 64 * number)


def busy(do):
    enter(do)
    check(do, busy=1, count=5)
    unlock(do, waits=False)
    leave(do, EBUSY)


def died(do):
    enter(do)
    check(do)
    do("process_exit", 0)


def end_not_seen(do):
    enter(do)
    check(do)
    do("entry_umount_tree", MOUNT, 2)
    enter(do)
    leave(do, -22)


def teardown(do):
    do("entry_umount_tree", MOUNT, 0)
    unlock(do)
    do("next_syscall", 0)


CASES = {
    "no mount to clean up": umount,
    "one": lambda do: umount(do, 1),
    "three": lambda do: umount(do, 3),
    "lazy": lambda do: umount(do, 1, lazy=True),
    "no grace period": lambda do: umount(do, 1, waits=False),
    "busy": busy,
    "died": died,
    "end not seen": end_not_seen,
    "teardown": teardown,
}


@pytest.fixture(scope="module")
def both():
    """The handlers with notes and without."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        noting = Handlers(monkeypatch)
    with pytest.MonkeyPatch.context() as monkeypatch:
        direct = Handlers(monkeypatch, without=("UM_NOTES",))
    with closing(noting), closing(direct):
        assert noting.constants["UM_NOTES"]
        yield noting, direct


def said(events):
    """Return the events without what differs from run to run; numbers count within an operation."""
    own = events.copy()
    for name in ("ts_ns", "cpu"):
        own[name] = 0
    opened = np.isin(events["kind"], (Kind.ENTER, Kind.TEARDOWN))
    own["seq"] -= events["seq"][opened][np.cumsum(opened) - 1]
    own["a"][opened] = 0
    return own.tolist()


@pytest.mark.parametrize("case", CASES)
def test_the_events_are_the_same(both, case):
    sent = []
    for do in both:
        do.events()
        CASES[case](do)
        sent.append(said(do.events()))
    assert sent[0] == sent[1]
    assert [event[-2] for event in sent[0]][:2] == [0, 1]


def test_what_may_hang_has_sent_what_went_before(both):
    do, _direct = both
    do.events()
    enter(do)
    assert do.events()["kind"].tolist() == [Kind.ENTER, Kind.PATH_UMOUNT]
    check(do)
    do("entry_umount_tree", MOUNT, 2)
    do("entry_namespace_unlock", 0)
    wait(do)
    sent = [Kind.CHECK, Kind.CHECKED, Kind.MOUNT, Kind.TREE, Kind.UNLOCK, Kind.RCU]
    assert do.events()["kind"].tolist() == sent
    do("process_exit", 0)
    assert do.events()["kind"].tolist() == [Kind.DEAD]


def test_what_does_not_fit_the_ring_is_counted_event_by_event(both):
    do, _direct = both
    do.events()
    umount(do, 1)
    each = len(do.events())
    n = EVENT_RING_BYTES // RECORD // each + 500
    for _ in range(n):
        umount(do, 1)
    seen, lost = len(do.events()), sum(do.loaded.per_cpu("losses", Loss.EVENT_RING))
    assert lost
    assert seen + lost == n * each
