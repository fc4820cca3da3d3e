"""What the programs read of the kernel: holders, the grace period, the holder of the lock."""

from __future__ import annotations

import struct

import pytest

from tests.correlate.test_functions import Functions, correlate, one, sync_steps
from umtrace.model.events import EventBatch, GracePeriod, Kind, Origin, Unseen
from umtrace.model.kinds import LOCKED_BY, NotHeld
from umtrace.model.lockcalls import locker_does

LAZY = 2


def with_steps(*changed):
    """The steps of an umount, some of them replaced by others of the same kind, or added."""
    steps = {(ts, kind): fields for ts, kind, fields in sync_steps()}
    for ts, kind, fields in changed:
        steps[ts, kind] = fields
    return one(
        Functions().probed(7, 100, steps=[(*key, fields) for key, fields in sorted(steps.items())])
    )


@pytest.mark.parametrize(
    ("ret", "held"),
    [(1, 0), (4, 3), (0, None), (NotHeld.MOVED, None), (NotHeld.TOO_MANY, None)],
)
def test_how_many_mounts_somebody_holds(ret, held):
    row = with_steps((160, Kind.UNLOCK, {"a": 4, "ret": ret}))
    assert (row["n_mounts"], row["n_held"]) == (4, held)


def test_an_old_recording_does_not_say():
    row = with_steps()
    assert row["n_held"] is row["gp_seq"] is row["lock_holder_tid"] is None
    assert row["lock_holder_comm"] is row["lock_holder_op"] is row["lock_held_ns"] is None
    assert row["n_mntns"] is row["mntns_top"] is None


@pytest.mark.parametrize(("b", "spaces"), [(0, None), (1, 0), (2, 1), (401, 400)])
def test_how_many_namespaces_the_mounts_were_in(b, spaces):
    assert with_steps((160, Kind.UNLOCK, {"a": 4, "b": b}))["n_mntns"] == spaces


def test_a_second_unlock_may_have_mounts_of_the_same_namespace():
    inner = [(161, Kind.UNLOCK_EXIT, {}), (163, Kind.UNLOCK, {"a": 1, "b": 2})]
    assert with_steps((160, Kind.UNLOCK, {"a": 0, "b": 1}), *inner)["n_mntns"] == 1
    assert with_steps((160, Kind.UNLOCK, {"a": 4, "b": 2}), *inner)["n_mntns"] is None
    assert with_steps((160, Kind.UNLOCK, {"a": 4, "b": 0}), *inner)["n_mntns"] is None


def largest(*pairs):
    """A SPREAD_OVER with the inum and the mounts of up to three namespaces."""
    words = [mounts << 32 | inum for inum, mounts in pairs] + [0, 0]
    return (159, Kind.SPREAD_OVER, {"a": words[0], "comm": struct.pack("=QQ", *words[1:3])})


@pytest.mark.parametrize("b", [3, 0])
def test_the_largest_namespaces_are_listed_if_all_are_known(b):
    pairs = [(4026532256, 900), (4026531841, 7)]
    row = with_steps(largest(*pairs), (160, Kind.UNLOCK, {"a": 907, "b": b}))
    assert row["mntns_top"] == ("4026532256:900 4026531841:7" if b else None)


def test_three_of_many_namespaces():
    pairs = [(4026532256, 900), (256, 7), (1, 1)]
    row = with_steps(largest(*pairs), (160, Kind.UNLOCK, {"a": 1000, "b": 402}))
    assert (row["n_mntns"], row["mntns_top"]) == (401, "4026532256:900 256:7 1:1")


def test_two_unlocks_are_added_unless_one_is_unknown():
    inner = [(161, Kind.UNLOCK_EXIT, {}), (163, Kind.UNLOCK, {"a": 1, "ret": 2})]
    first = (160, Kind.UNLOCK, {"a": 4, "ret": 3})
    assert with_steps(first, *inner)["n_held"] == 3
    assert with_steps((160, Kind.UNLOCK, {"a": 4}), *inner)["n_held"] is None


@pytest.mark.parametrize(
    ("origin", "held"),
    [
        (Origin.NS_EXIT, 1),
        (Origin.DETACH, 1),
        (Origin.EXPIRE, 1),
        (Origin.FD_CLOSE, 1),
        (Origin.FAILED_MOUNT, 1),
        (Origin.MOUNT_INTERNAL, None),
        (Origin.OTHER, None),
    ],
)
def test_the_count_to_expect_is_known_by_origin(origin, held):
    assert teardown(origin)["n_held"] == held


def test_without_the_caller_it_is_unknown():
    assert teardown(Origin.OTHER, unseen=Unseen.CALLER)["n_held"] is None


def teardown(origin, unseen=0):
    stream = Functions()
    stream.event(100, 7, Kind.TEARDOWN, seq=50, ret=origin)
    steps = [(Kind.TREE, {}), (Kind.UNLOCK, {"a": 2, "ret": 2}), (Kind.UNLOCK_EXIT, {})]
    steps += [(Kind.UNSEEN, {"a": unseen})] if unseen else []
    steps += [(Kind.RETURNED, {"a": 1})]
    for number, (kind, fields) in enumerate(steps, 1):
        stream.event(100 + 10 * number, 7, kind, seq=50 + number, **fields)
    return one(stream)


@pytest.mark.parametrize(("a", "number"), [(0, None), (412, 412), (2**64 - 1200, -1200)])
def test_the_number_of_the_grace_period(a, number):
    row = with_steps((470, Kind.RCU_EXIT, {"ret": GracePeriod.JOINED, "a": a}))
    assert (row["rcu_kind"], row["gp_seq"]) == ("piggybacked", number)


def test_who_holds_the_lock():
    fields = {"b": 99, "comm": b"runc", "ret": LOCKED_BY + Origin.NS_EXIT}
    row = with_steps((115, Kind.LOCKED, fields))
    assert row["lock_holder_tid"] == 99
    assert (row["lock_holder_comm"], row["lock_holder_op"]) == ("runc", "ns-exit")
    assert row["lock_ns"] == 20
    assert row["lock_held_ns"] is None


@pytest.mark.parametrize(("since", "held"), [(0, None), (40, 75), (115, 0), (116, 0)])
def test_since_when_it_holds_the_lock(since, held):
    row = with_steps((115, Kind.LOCKED, {"a": since, "b": 99, "ret": LOCKED_BY}))
    assert row["lock_held_ns"] == held


@pytest.mark.parametrize(
    ("word", "does"),
    [
        (LOCKED_BY + Origin.UMOUNT, "umount"),
        (LOCKED_BY + 99, None),
        (166, "mount"),
        (156, "pivot_root"),
        (57, "clone"),
        (1001, "syscall 1000"),
        (0, None),
        (-1, None),
    ],
)
def test_what_the_holder_does(word, does):
    assert locker_does(word) == does


def test_it_stays_when_the_operation_lies_in_two_batches():
    steps = sync_steps()
    steps[5] = (160, Kind.UNLOCK, {"a": 4, "ret": 3, "b": 3})
    steps.insert(5, largest((256, 3), (257, 1)))
    steps[8] = (470, Kind.RCU_EXIT, {"ret": GracePeriod.OWN, "a": 8})
    steps.insert(2, (115, Kind.LOCKED, {"a": 90, "b": 99, "comm": b"runc", "ret": 166}))
    whole = Functions().probed(7, 100, steps=steps).batch()
    for cut in range(1, len(whole.events)):
        parts = (whole.events[:cut], whole.names), (whole.events[cut:], whole.names[:0])
        rows, _ = correlate(*(EventBatch(*part) for part in parts))
        (row,) = rows
        assert (row["n_held"], row["gp_seq"], row["lock_holder_tid"]) == (2, 8, 99), cut
        assert (row["lock_holder_op"], row["lock_held_ns"]) == ("mount", 25)
        assert (row["n_mntns"], row["mntns_top"]) == (2, "256:3 257:1")
