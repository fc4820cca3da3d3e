"""Rows of --probes light: an umount(2) is two events and one with everything when it is over."""

from __future__ import annotations

import struct

import pytest

from tests.builders import Stream, split
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import WAITS_SHIFT, GracePeriod, Kind, Origin, Returned, Unseen

WORKED = Returned.WORKED | Unseen.CLEANUP | Unseen.PUTS


def rows_of(stream, *, cuts=()):
    correlator = UmountCorrelator(clock_offset_ns=0, tier="fentry")
    parts = split(stream.batch(), cuts)
    rows = [row for part in parts for row in correlator.feed(part).to_pylist()]
    return rows + correlator.finish().to_pylist()


def umount(*, flags=0, mounts=3, waits=1, rcu=400, how=WORKED, gp=GracePeriod.UNKNOWN, seq=7):
    stream = Stream().path(100, 5, b"/mnt")
    stream.event(100, 5, Kind.ENTER, ret=flags, a=1, b=77, seq=seq, comm=b"umount")
    stream.event(2000, 5, Kind.MOUNT, a=31, b=8 << 20 | 1, seq=seq + 1, comm=b"ext4")
    comm = struct.pack("=QQ", 1500, rcu)
    more = gp | waits << WAITS_SHIFT
    stream.event(2000, 5, Kind.ENDED, ret=mounts, a=how, b=more, seq=seq + 2, comm=comm)
    stream.events = [(ts, 0xFF00, *rest) for ts, _mnt, *rest in stream.events]
    return stream


def test_what_a_row_says_and_what_it_does_not_know():
    (row,) = rows_of(umount())
    assert (row["complete"], row["errno"], row["mode"], row["path"]) == (True, 0, "sync", "/mnt")
    assert (row["latency_ns"], row["latency_bound"], row["syscall_ns"]) == (1900, "upper", 1400)
    assert (row["rcu_ns"], row["shutdown_ns"], row["other_ns"]) == (400, 500, 1000)
    assert (row["fstype"], row["dev"], row["mount_id"], row["n_mounts"]) == ("ext4", "8:1", 31, 3)
    unknown = ("final_put", "tail_ns", "refcount", "lookup_ns", "lock_ns", "tree_ns", "put_ns")
    assert [row[name] for name in (*unknown, "rcu_kind", "n_legitimized")] == [None] * 9


def test_without_task_work_the_end_is_that_of_the_call():
    (row,) = rows_of(umount(how=Returned.NO_WORK | Unseen.PUTS))
    assert row["latency_bound"] == "exact"


def test_a_normal_grace_period():
    (row,) = rows_of(umount(gp=GracePeriod.NORMAL))
    assert row["rcu_kind"] == "normal"


@pytest.mark.parametrize("flags", [0, 2])
def test_an_umount_that_took_mounts_down_has_waited(flags):
    (row,) = rows_of(umount(flags=flags, waits=0, rcu=0))
    assert row["complete"] == (flags == 2)  # with a patch a lazy umount defers the wait


def test_where_the_unlock_was_not_seen_the_wait_is_unknown():
    (row,) = rows_of(umount(mounts=-1, waits=0, rcu=0))
    assert (row["complete"], row["n_mounts"], row["rcu_ns"]) == (True, None, None)


def test_any_split_gives_the_same_row():
    whole = rows_of(umount())
    for cut in (1, 2):
        assert rows_of(umount(), cuts=[cut]) == whole


def test_a_lost_event_marks_the_row():
    stream = umount()
    del stream.events[1]
    (row,) = rows_of(stream)
    assert (row["complete"], row["incomplete_why"]) == (False, "lost-events")


def test_a_namespace_that_ends_waits_for_no_put_of_others():
    stream = Stream()
    events = [
        (100, Kind.TEARDOWN, {"ret": Origin.NS_EXIT, "a": 1, "b": 77, "comm": b"sh"}),
        (100, Kind.MOUNT, {"a": 31, "comm": b"tmpfs"}),
        (200, Kind.UNLOCK, {"a": 1500}),
        (210, Kind.RCU, {}),
        (310, Kind.RCU_EXIT, {}),
        (400, Kind.UNLOCK_EXIT, {}),
        (900, Kind.RETURNED, {"a": WORKED}),
    ]
    for seq, (ts, kind, more) in enumerate(events, 50):
        stream.event(ts, 5, kind, seq=seq, **more)
    (row,) = rows_of(stream)
    assert (row["complete"], row["origin"], row["n_mounts"]) == (True, "ns-exit", 1500)
    assert (row["latency_ns"], row["latency_bound"], row["rcu_ns"]) == (800, "upper", 100)
    assert (row["put_ns"], row["shutdown_ns"], row["final_put"]) == (90, 500, None)
