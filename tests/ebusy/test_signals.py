"""Evidence out of events, as the function tiers emit them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.builders import Stream
from umtrace.ebusy.decode import EvidenceDecoder
from umtrace.model.events import (
    ARMING_SHIFT,
    FOREIGN,
    PUT_EARLIER,
    PUT_EXITING,
    PUT_FIRST_EXEC,
    PUT_SETTLED,
    PUT_WALKED,
    Kind,
)
from umtrace.model.evidence import NO_EVIDENCE, Check, Failure, Skip, Superblock, Walk

UNKNOWN = 2**64 - 1
DEV = (8 << 20) + 1


def read(*steps):
    """Read events given as (time, kind, fields)."""
    stream = Stream()
    for ts, kind, fields in steps:
        stream.event(ts, 7, kind, comm=b"cat", **fields)
    return EvidenceDecoder().read(stream.batch().events)


@pytest.mark.parametrize(
    ("fields", "site", "refcount", "mntns"),
    [
        ({"a": 3}, "refcount", 3, None),
        ({"a": 2}, "copy", 2, None),
        ({"a": 2, "b": 4026}, "copy", 2, 4026),
        ({"a": UNKNOWN, "b": 4026}, "copy", None, 4026),
        ({"a": UNKNOWN}, "unknown", None, None),
    ],
)
def test_a_busy_check(fields, site, refcount, mntns):
    evidence = read((5, Kind.CHECKED, {"ret": 1, **fields}))
    assert evidence.checks == (Check(5, 7, 0, site, refcount, mntns),)


def test_no_count_means_a_mount_below_once_counts_are_known_to_come():
    counted = (4, Kind.CHECKED, {"ret": 0, "a": 2})
    evidence = read(counted, (5, Kind.CHECKED, {"ret": 1, "a": UNKNOWN}))
    assert [check.site for check in evidence.checks] == ["submount"]
    late = read((3, Kind.CHECKED, {"ret": 1, "a": UNKNOWN}), counted)
    assert [check.site for check in late.checks] == ["unknown"]


def test_walkers():
    evidence = read(
        (1, Kind.WALK, {"ret": 1, "cpu": FOREIGN}),
        (2, Kind.WALK, {"ret": -1, "cpu": FOREIGN}),
        (3, Kind.PUT, {"cpu": FOREIGN}),
        (4, Kind.CLEANUP_EXIT, {"cpu": FOREIGN}),
        (5, Kind.CLEANUP_EXIT, {}),
    )
    assert [walk.what for walk in evidence.walks] == ["discounted", "must-put", "put"]
    assert evidence.final_puts == (Walk(4, 7, "cat", 0, "put", pid=7),)


def test_superblocks_are_followed_from_the_first_that_is_shared():
    evidence = read(
        (1, Kind.CLEANUP, {"a": 1, "b": DEV + 1}),
        (2, Kind.CLEANUP, {"a": 2, "b": DEV}),
        (3, Kind.CLEANUP, {"a": 1, "b": DEV, "cpu": FOREIGN}),
    )
    assert evidence.superblocks == (Superblock(2, 7, "8:1", 2), Superblock(3, 7, "8:1", 1))


def test_only_the_last_count_of_an_operation_is_kept():
    """An umount of a thousand mounts counts their superblock a thousand times."""
    evidence = read(
        (1, Kind.ENTER, {}),
        (2, Kind.CLEANUP, {"a": 9, "b": DEV}),
        (3, Kind.SHARED, {"a": 9, "b": DEV, "cpu": FOREIGN}),
        (4, Kind.CLEANUP, {"a": 8, "b": DEV}),
        (5, Kind.CLEANUP, {"a": 3, "b": DEV + 1}),
        (6, Kind.CLEANUP, {"a": 7, "b": DEV}),
        (7, Kind.ENTER, {}),
        (8, Kind.CLEANUP, {"a": 6, "b": DEV}),
        (9, Kind.CLEANUP, {"a": 1, "b": DEV + 1, "cpu": FOREIGN}),
        (10, Kind.CLEANUP, {"a": 2, "b": DEV + 1, "cpu": FOREIGN}),
    )
    kept = [(s.ts_ns, s.active) for s in evidence.superblocks]
    assert kept == [(3, 9), (5, 3), (6, 7), (8, 6), (9, 1), (10, 2)]


def test_references_left_after_a_put_and_after_a_busy_umount():
    evidence = read(
        (1, Kind.PUT, {"cpu": FOREIGN, "b": 2}),
        (2, Kind.PUT, {"cpu": FOREIGN}),
        (3, Kind.PATH_UMOUNT_EXIT, {"ret": -16, "b": 2}),
        (4, Kind.PATH_UMOUNT_EXIT, {"ret": 0}),
        (5, Kind.WALK, {"ret": 0, "cpu": FOREIGN}),
    )
    seen = [(walk.what, walk.left) for walk in evidence.walks]
    assert seen == [("put", 1), ("put", None), ("returned", 1), ("legitimized", None)]


def test_puts_of_references_that_were_there_before():
    evidence = read(
        (1, Kind.PUT, {"cpu": FOREIGN, "ret": 5, "a": 0x20 | PUT_EARLIER}),
        (2, Kind.PUT, {"cpu": FOREIGN, "a": PUT_EARLIER | PUT_SETTLED, "b": 3}),
        (3, Kind.PATH_UMOUNT_EXIT, {"ret": -16, "a": 1, "b": 3}),
        (4, Kind.WALK, {"cpu": FOREIGN, "a": 0x20}),
        (5, Kind.PUT, {"cpu": FOREIGN, "ret": -1, "a": PUT_EARLIER}),
        (6, Kind.PUT, {"cpu": FOREIGN, "ret": -61, "a": PUT_FIRST_EXEC | PUT_EARLIER, "seq": 7}),
        (7, Kind.PUT, {"cpu": FOREIGN, "ret": 232, "a": PUT_EXITING | PUT_EARLIER}),
    )
    seen = [(walk.earlier, walk.settled, walk.syscall) for walk in evidence.walks]
    assert seen == [
        (True, False, 4),
        (True, True, None),
        (False, True, None),
        (False, False, None),
        (True, False, -1),
        (True, False, -1),
        (True, False, 231),
    ]
    by_exec, by_exit = evidence.walks[-2:]
    assert (by_exec.first_exec, by_exec.exiting, by_exec.parent) == (True, False, 7)
    assert (by_exit.first_exec, by_exit.exiting, by_exit.parent) == (False, True, None)


def test_the_watch_in_which_a_put_was_seen():
    evidence = read(
        (1, Kind.PUT, {"cpu": FOREIGN, "a": 7 << ARMING_SHIFT | PUT_SETTLED, "b": 3}),
        (2, Kind.PATH_UMOUNT_EXIT, {"ret": -16, "a": 7 << ARMING_SHIFT | 1, "b": 3}),
        (3, Kind.PATH_UMOUNT_EXIT, {"ret": 0, "a": 8 << ARMING_SHIFT}),
        (4, Kind.PUT, {"cpu": FOREIGN, "a": 0x20 | PUT_EARLIER | PUT_WALKED}),
    )
    seen = [(walk.what, walk.settled, walk.arming, walk.walked) for walk in evidence.walks]
    assert seen == [
        ("put", True, 7, False),
        ("returned", True, 7, False),
        ("returned", False, 8, False),
        ("put", False, None, True),
    ]


def test_puts_that_were_not_seen():
    evidence = read((9, Kind.SKIPPED, {"cpu": FOREIGN, "a": 4, "b": 20}))
    assert evidence.skips == (Skip(4, 9),)


def test_the_namespaces_that_keep_a_superblock():
    words = struct.pack("<4I", 4026531840, 4026532000, 0, 0)
    stream = Stream()
    stream.event(5, 7, Kind.SHARED, a=3, b=DEV, cpu=FOREIGN, comm=words)
    assert EvidenceDecoder().read(stream.batch().events).superblocks == (
        Superblock(5, 7, "8:1", 3, (4026531840, 4026532000)),
    )


def test_a_device_claimed_in_vain():
    evidence = read((5, Kind.FAILED, {"ret": -16, "a": 1, "b": DEV, "cpu": FOREIGN}))
    assert evidence.failures == (Failure(5, 7, "cat", "exclusive claim", None, "8:1"),)


def test_a_mount_that_was_refused():
    evidence = read((5, Kind.FAILED, {"ret": -16, "a": 2, "b": DEV, "cpu": FOREIGN}))
    assert evidence.failures == (Failure(5, 7, "cat", "mount", None, "8:1"),)


def test_the_tracepoint_tier_has_none():
    stream = Stream().umount(1, 1000)
    assert EvidenceDecoder().read(stream.batch().events) is NO_EVIDENCE
    assert EvidenceDecoder().read(np.empty(0, stream.batch().events.dtype)) is NO_EVIDENCE
