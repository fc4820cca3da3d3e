from __future__ import annotations

import pytest

from tests.ebusy.streams import MS, busy, one, umount, windows_of
from tests.stats.rows import T0_NS, batch_of
from umtrace.ebusy.counters import WalkCounters
from umtrace.ebusy.detector import EbusyDetector
from umtrace.model.evidence import Evidence, Failure, Superblock, Walk
from umtrace.model.holders import Holder, HolderScan
from umtrace.present.ebusy import holder_names


def late(at, putter="other", tail_ms=4, **given):
    return umount(
        at, final_put=putter, final_put_comm="stat", tail_ns=int(tail_ms * MS), took_ms=1, **given
    )


@pytest.mark.parametrize("putter", ["other", "kworker"])
def test_a_stolen_put_is_spurious_by_itself(putter):
    window = one([late(0, putter)])
    assert (window.klass, window.spurious) == ("stolen-put", True)
    assert window.begin_ns == T0_NS + 1 * MS
    assert window.duration_ns == 4 * MS
    assert window.walkers[0].comm == "stat"


def test_a_put_that_never_came():
    window = one([late(0, "pending", 0)])
    assert (window.klass, window.end_ns) == ("stolen-put", None)


def test_a_lazy_tail_is_as_documented():
    window = one([late(0, flags=2, mode="lazy")])
    assert (window.klass, window.spurious, window.duration_ns) == ("lazy-tail", False, 4 * MS)


def test_no_tail_no_window():
    assert windows_of([umount(0, final_put="self", tail_ns=0), umount(1)]) == []
    assert windows_of([umount(0, final_put="self", flags=2, mode="lazy", tail_ns=0)]) == []
    assert windows_of([late(0, origin="ns-exit")]) == []


def test_a_shared_superblock_names_the_namespaces():
    row = umount(0)
    evidence = Superblock(T0_NS + 1000, row["tid"], "7:0", 2, (4026, 4027))
    window = one([row], evidence=Evidence(superblocks=(evidence,)))
    assert (window.klass, window.spurious, window.dev) == ("shared-sb", False, "7:0")
    assert [holder.mntns for holder in window.holders] == [4026, 4027]
    assert window.end_ns is None


def test_namespaces_come_once_and_the_last_count_stands():
    row = umount(0)
    reported = Superblock(T0_NS + 1000, row["tid"], "7:0", 600, (4026, 4027))
    counts = [Superblock(T0_NS + 1000 + n, row["tid"], "7:0", 600 - n) for n in range(1, 500)]
    window = one([row], evidence=Evidence(superblocks=(reported, *counts)))
    assert [holder.mntns for holder in window.holders] == [4026, 4027]
    assert "the superblock of 7:0 had 100 other references" in window.evidence[0]


def test_what_is_known_of_a_superblock_that_died_is_beside_the_namespace():
    """Its mounts are gone when tracing ends: nobody can read where they were."""
    row = umount(0, path="/mnt/data")
    alive = Superblock(T0_NS + 1000, row["tid"], "7:0", 2, (4026,))
    died = Superblock(T0_NS + 2 * MS, 1, "7:0", 1)
    window = one([row], evidence=Evidence(superblocks=(alive, died)))
    assert window.end_ns == T0_NS + 2 * MS
    assert [h.match for h in window.holders] == ["dev"]
    named = "namespace 4026: a mount of 7:0, unmounted as /mnt/data (mount)"
    assert holder_names(window) == named
    pathless = one([umount(0, path=None)], evidence=Evidence(superblocks=(alive, died)))
    assert holder_names(pathless) == "namespace 4026: a mount of 7:0 (mount)"


def test_umounts_of_one_superblock_are_one_window_until_it_dies():
    rows = [umount(n) for n in range(3)]
    evidence = [Superblock(T0_NS + n * MS + 1000, 100, "7:0", 3 - n) for n in range(3)]
    detector = EbusyDetector()
    found = detector.feed(batch_of(rows[:2]), evidence=Evidence(superblocks=tuple(evidence[:2])))
    assert found == []
    (window,) = detector.feed(
        batch_of(rows[2:]), evidence=Evidence(superblocks=tuple(evidence[2:]))
    )
    assert (window.klass, window.attempts) == ("shared-sb", 2)
    assert window.end_ns == T0_NS + 2 * MS + 1000
    assert detector.finish() == []


def test_a_superblock_whose_copies_all_go_with_one_umount_is_not_shared():
    counts = [Superblock(T0_NS + n, 100, "0:9", active) for n, active in enumerate((3, 2, 1))]
    assert windows_of([umount(0)], evidence=Evidence(superblocks=tuple(counts))) == []


def test_deaths_that_come_with_the_rows_end_each_window_at_its_own():
    # All in one batch, one task, one device number that is used again and again.
    rows = [umount(n) for n in range(4)]
    at = [T0_NS + n * MS + 1000 for n in range(4)]
    counts = [
        Superblock(ts, 100, "0:9", active) for ts, active in zip(at, (2, 1, 2, 1), strict=True)
    ]
    found = windows_of(rows, evidence=Evidence(superblocks=tuple(counts)))
    assert [w.klass for w in found] == ["shared-sb", "shared-sb"]
    assert [w.end_ns for w in found] == [at[1], at[3]]


def test_the_thief_is_named_by_task():
    row = late(0)
    put = Walk(T0_NS + 5 * MS, 55, "stat", 0xAB, "put")
    walk = Walk(T0_NS + MS // 2, 55, "stat", 0xAB, "must-put")
    window = one([row], evidence=Evidence(final_puts=(put,), walks=(walk,)))
    assert [(w.tid, w.what) for w in window.walkers] == [(55, "put"), (55, "must-put")]


def test_walkers_of_another_mount_at_the_same_address_are_no_thieves():
    row = late(5, putter="other", tail_ms=4)
    at = T0_NS + 10 * MS
    put = Walk(at, 55, "stat", 0xFF, "put", pid=50)
    walks = tuple(Walk(ts, 66, "stat", 0xFF, "must-put", pid=60) for ts in (T0_NS, at + 1))
    window = one([row], evidence=Evidence(final_puts=(put,), walks=walks))
    assert [w.tid for w in window.walkers] == [55]


def test_a_kernel_worker_that_puts_last_is_nobody_s_name():
    row = late(5, flags=2, mode="lazy", putter="kworker", tail_ms=4)
    put = Walk(T0_NS + 10 * MS, 55, "kworker/0:1", 0xFF, "put", pid=55)
    window = one([row], evidence=Evidence(final_puts=(put,)))
    assert [(h.pid, h.detail) for h in window.holders] == [(None, "an io_uring (kernel worker)")]
    assert [(w.tid, w.comm) for w in window.walkers] == [(0, "an io_uring (kernel worker)")]


@pytest.mark.parametrize("first", ["row", "put"])
def test_a_tail_longer_than_a_row_is_held_back_names_its_holder_all_the_same(first):
    row = late(0, mode="lazy", flags=2, putter="pending", tail_ms=0, tid=9, tier="fentry")
    lazy = Walk(T0_NS + MS // 2, 9, "umount", 0xAB, "lazy", pid=9)
    put = Walk(T0_NS + 60_000 * MS, 55, "tail", 0xAB, "put", pid=50)
    again = Walk(T0_NS + 61_000 * MS, 77, "cat", 0xAB, "put", pid=77)
    detector, empty = EbusyDetector(), batch_of([])
    if first == "row":
        assert detector.feed(batch_of([row]), evidence=Evidence(lazies=(lazy,))) == []
        found = detector.feed(empty, evidence=Evidence(final_puts=(put, again)))
    else:
        found = detector.feed(
            batch_of([row]), evidence=Evidence(lazies=(lazy,), final_puts=(put, again))
        )
    (window,) = found + detector.finish()
    assert (window.klass, window.spurious) == ("lazy-tail", False)
    assert [(h.pid, h.comm) for h in window.holders] == [(50, "tail")]
    assert window.end_ns == T0_NS + 60_000 * MS


def test_a_tail_that_never_ends_is_a_window_without_an_end():
    row = late(0, mode="lazy", flags=2, putter="pending", tail_ms=0, tid=9, tier="fentry")
    lazy = Walk(T0_NS + MS // 2, 9, "umount", 0xAB, "lazy", pid=9)
    window = one([row], evidence=Evidence(lazies=(lazy,)))
    assert (window.klass, window.end_ns) == ("lazy-tail", None)


def failure(at, **given):
    values = {"path": None, "dev": "7:0", "syscall": "openat"} | given
    return Failure(T0_NS + int(at * MS), 9, "mkfs", **values)


def classes(windows):
    return [(w.klass, w.spurious) for w in windows]


def test_a_later_failure_is_tied_to_its_cause():
    inside = Evidence(failures=(failure(2),))
    found = windows_of([late(0, dev="7:0")], evidence=inside)
    assert classes(found) == [("stolen-put", True), ("downstream", True)]
    assert "mkfs (9) got EBUSY" in found[1].evidence[0]
    assert found[1].umount_id == found[0].umount_id
    assert "mkfs" not in [walker.comm for walker in found[1].walkers], "the victim"
    assert found[1].walkers == found[0].walkers


@pytest.mark.parametrize(
    "other",
    [
        failure(6),
        failure(0.5),
        failure(2, dev="7:1"),
        failure(2, errno=13),
        failure(2, path="/x", dev=None),
    ],
)
def test_a_failure_elsewhere_is_not(other):
    found = windows_of([late(0, dev="7:0")], evidence=Evidence(failures=(other,)))
    assert classes(found) == [("stolen-put", True)]


def test_a_failure_that_comes_after_its_window():
    detector = EbusyDetector()
    found = detector.feed(batch_of([late(0, flags=2, mode="lazy", dev="7:0")]))
    found += detector.feed(batch_of([]), evidence=Evidence(failures=(failure(2),)))
    assert classes(found) == [("lazy-tail", False), ("downstream", False)]


def test_a_mkfs_inside_a_busy_window():
    found = windows_of(
        [busy(0), umount(300)], evidence=Evidence(failures=(failure(5, path="/mnt"),))
    )
    assert classes(found) == [("unknown", None), ("downstream", None)]


def test_the_counters_of_the_argument():
    counters = WalkCounters()
    counters.add(batch_of([umount(0), busy(1)]))
    assert counters.to_dict() | {"umounts": 0} == dict.fromkeys(counters.to_dict()) | {"umounts": 0}
    rows = [
        umount(0, n_discounted=2, n_legitimized=1, final_put="self"),
        umount(1, n_discounted=0, n_legitimized=0, final_put="other"),
        umount(2, n_discounted=1, n_legitimized=0, final_put="other", mode="lazy"),
    ]
    counters.add(batch_of(rows))
    assert (counters.umounts, counters.discounted, counters.met) == (4, 3, 2)
    assert (counters.puts_known, counters.stolen, counters.must_put) == (2, 1, 1)


def test_who_keeps_a_superblock_that_lives_on_is_named_when_somebody_looked():
    row = umount(0)
    evidence = Superblock(T0_NS + 1000, row["tid"], "7:0", 2, (4026,))
    who = {"pid": 7, "comm": "sh", "detail": "/m", "mntns": 4026, "keeper": "sh (pid 7)"}
    mount = Holder(kind="mount", of="superblock", **who)
    looked = HolderScan(umount_id=row["id"], path="/m", begin_ns=1, end_ns=2, holders=(mount,))
    window = one([row], evidence=Evidence(superblocks=(evidence,)), scans=[looked])
    assert window.holders == (mount,)
    assert window.evidence[-1] == (
        "at the end, mount /m was in mount namespace 4026, kept by sh (pid 7)"
    )
