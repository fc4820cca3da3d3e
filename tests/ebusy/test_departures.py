"""When the extra references of a busy mount went, by the counts that the probes make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ebusy.streams import MS, busy, fd_of, one, scan, umount, windows_of
from tests.stats.rows import T0_NS
from umtrace.model.events import ARMING_MASK, ARMING_NS_SHIFT
from umtrace.model.evidence import Check, Evidence, Skip, Walk

MNT = 0xFFFF888000001000
UMOUNTER, WALKER, OTHER = 9, 50, 51
MNT_FORCE, MNT_DETACH = 1, 2


def seen(*walks, refcount=3, skips=(), flags=0, found=()):
    """Return the window of an EBUSY at 0 to 0.1 ms, a scan at 5 ms, and a retry 400 ms later."""
    rows = [
        busy(0, tier="fentry", tid=UMOUNTER, refcount=refcount),
        umount(400, tier="fentry", tid=UMOUNTER, flags=flags),
    ]
    check = Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", refcount)
    evidence = Evidence(
        checks=(check,),
        walks=tuple(w if isinstance(w, Walk) else walk(*w) for w in walks),
        skips=tuple(skips),
    )
    scans = [scan(rows[0], 5, *found)] if found else []
    return one(rows, evidence=evidence, scans=scans)


def walk(at_ms, tid, what, left=None, **given):
    ts = T0_NS + int(at_ms * MS)
    return Walk(ts, tid, "stat", MNT, what, pid=tid, left=left, **given)


def put(at_ms, tid, left=None, **given):
    """Return a put of a reference that was there at the check."""
    return walk(at_ms, tid, "put", left, earlier=True, **given)


def test_a_put_that_frees_the_mount_soon_is_transient():
    window = seen((0.09, UMOUNTER, "returned", 2), (0.4, WALKER, "put", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert (window.first_success_ns, window.first_success_bound) == (0.4 * MS, "exact")
    assert [(w.tid, w.what) for w in window.walkers] == [(WALKER, "put")]


def test_a_put_before_the_umount_returns_counts_from_that_put():
    window = seen((0.07, WALKER, "put", 2), (0.09, UMOUNTER, "returned", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert window.first_success_ns == 0.07 * MS
    assert "before umount returned" in " ".join(window.evidence)


def test_a_put_that_nobody_saw_is_transient_all_the_same():
    window = seen((0.09, UMOUNTER, "returned", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert "by a task that was not seen" in " ".join(window.evidence)


def test_an_umount_that_finds_it_free_says_nothing_of_long_before():
    """The put of who was inside meanwhile had begun before the retry's check, and is not seen."""
    window = seen((0.5, WALKER, "put", 3), (80, UMOUNTER, "returned", 1))
    assert window.spurious is None
    assert (window.first_success_ns, window.first_success_bound) == (80 * MS, "exact")


def test_a_reference_that_stayed_is_held_by_who_put_it():
    window = seen((0.09, UMOUNTER, "returned", 2), (30, WALKER, "put", 1))
    assert (window.klass, window.spurious) == ("held", False)
    assert [(h.kind, h.pid) for h in window.holders] == [("reference", WALKER)]


def test_walkers_who_relieve_each_other_hold_nothing_for_certain():
    window = seen(
        (1, OTHER, "legitimized"), (2, WALKER, "put", 2), (30, OTHER, "put", 1), refcount=3
    )
    assert (window.klass, window.spurious) == ("unknown", None)
    assert window.first_success_bound == "exact"
    assert "while other tasks took new ones" in window.evidence[-1]


@pytest.mark.parametrize("left", [None, 2, 3])
def test_a_put_that_leaves_references_frees_nothing(left):
    window = seen((0.4, WALKER, "put", left))
    assert (window.klass, window.spurious) == ("unknown", None)
    assert window.first_success_bound == "upper"


def test_puts_before_the_check_do_not_count():
    assert seen((0.01, WALKER, "put", 1)).klass == "unknown"


def test_others_who_came_since_do_not_hide_that_those_at_the_check_have_gone():
    window = seen(
        (0.5, OTHER, "legitimized"),
        put(0.6, WALKER, 2, settled=True),
        (30, OTHER, "put", 1),
    )
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert (window.first_success_ns, window.first_success_bound) == (30 * MS, "exact")
    assert "released 0.500 ms after the first EBUSY, by stat (50)" in window.evidence[-1]


def test_settled_is_not_enough_where_the_puts_do_not_add_up():
    window = seen((0.5, OTHER, "legitimized"), walk(0.6, OTHER, "put", 2, settled=True))
    assert (window.klass, window.spurious) == ("unknown", None)
    assert window.evidence[-1].startswith("inconclusive: 0 releases were seen for 1")


STAT, CLOSE, OPEN = 4, 3, 257


def test_a_path_walk_that_is_held_up_is_no_holder_whatever_it_takes():
    window = seen(
        put(1, OTHER, 3, syscall=STAT), put(80, WALKER, 1, syscall=STAT, settled=True), refcount=4
    )
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert "within one stat call, 79.9 ms after" in window.evidence[-1]


@pytest.mark.parametrize(
    ("call", "said"), [(-1, "held"), (CLOSE, "held"), (None, "unknown")], ids=str
)
def test_what_is_put_late_by_close_was_held_even_among_walkers(call, said):
    window = seen(
        (1, OTHER, "legitimized"),
        put(2, OTHER, 3, syscall=STAT),
        put(80, WALKER, 2, syscall=call, settled=True),
        refcount=4,
    )
    assert (window.klass, window.spurious) == (said, False if said == "held" else None)
    assert [h.pid for h in window.holders] == ([WALKER] if said == "held" else [])


@pytest.mark.parametrize(
    ("closes", "spurious"),
    [
        # The open call may have failed, and the file have been open before the check.
        ([put(80.2, WALKER, 1, syscall=-1, settled=True)], None),
        ([put(95, WALKER, 1, syscall=-1, settled=True)], False),
        ([put(80.2, OTHER, 1, syscall=-1, settled=True)], False),
        ([put(80.2, WALKER, 2, syscall=-1), put(80.3, WALKER, 1, syscall=-1, settled=True)], False),
    ],
)
def test_a_file_let_go_soon_after_an_open_that_was_held_up(closes, spurious):
    window = seen(put(80, WALKER, 2, syscall=OPEN), *closes, refcount=3 + len(closes))
    assert window.spurious is spurious
    assert window.klass == ("unknown" if spurious is None else "held")


@pytest.mark.parametrize(
    "puts",
    [
        [put(80, WALKER, 1, syscall=STAT, settled=True)],  # one of two: who was the other?
        [put(80, WALKER, 2, syscall=STAT), put(81, OTHER, 2, syscall=STAT)],  # one is still there
        [walk(1, OTHER, "legitimized"), walk(80, OTHER, "put", 1), put(81, WALKER, syscall=STAT)],
    ],
)
def test_path_walks_that_do_not_account_for_all_prove_nothing(puts):
    window = seen(*puts, refcount=4)
    assert window.spurious is None


def test_a_file_that_stays_is_held_though_walks_were_seen_to_end():
    window = seen(*[put(at, 60 + at, 3, syscall=STAT) for at in range(1, 9)], refcount=3)
    assert window.spurious is None
    assert window.first_success_bound == "upper"


def watch_since(at_ms):
    """Return the number of a watch that began then."""
    return ((T0_NS + int(at_ms * MS)) >> ARMING_NS_SHIFT) & ARMING_MASK


WATCH = {"arming": watch_since(0.049)}


def test_a_count_that_lacks_puts_decides_nothing_however_well_it_was_watched():
    window = seen((0.5, OTHER, "legitimized"), walk(0.6, OTHER, "put", 2, settled=True, **WATCH))
    assert (window.klass, window.spurious) == ("unknown", None)
    assert "0 releases were seen for 1" in window.evidence[-1]


@pytest.mark.parametrize("puts", [0, 2, 3])
def test_nor_does_one_with_more_puts_than_were_counted(puts):
    walks = [put(1, WALKER, 3, syscall=STAT, **WATCH) for _ in range(puts)]
    window = seen(*walks, walk(1.1, OTHER, "put", 3, settled=True, **WATCH))
    assert window.spurious is None


def test_a_mount_that_was_free_later_shows_that_a_put_had_begun_before_the_check():
    settled = walk(0.6, OTHER, "put", 2, settled=True, **WATCH)
    window = seen(settled, walk(30, OTHER, "put", 1, syscall=STAT, **WATCH))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert window.evidence[-1].startswith("one more release had begun before the busy check")


KEEPER = 60


@pytest.mark.parametrize("refcount", [4, 5])
def test_a_file_that_is_kept_open_is_held_though_the_probes_called_the_mount_settled(refcount):
    """The retry's own reference was counted as one taken since, until it had returned."""
    walks = [
        put(0.2, WALKER, 3, syscall=STAT, **WATCH),
        walk(20.1, UMOUNTER, "legitimized"),
        walk(20.15, WALKER, "legitimized"),
        walk(20.197, WALKER, "put", 4, syscall=STAT, settled=True, **WATCH),
        walk(20.21, UMOUNTER, "returned", 2, **WATCH),
        put(102.6, KEEPER, 2, syscall=CLOSE, **WATCH),
        walk(400.05, UMOUNTER, "returned", **WATCH),
    ]
    window = seen(*walks, refcount=refcount)
    assert (window.klass, window.spurious) == ("held", False)
    assert [h.pid for h in window.holders] == [KEEPER]


@pytest.mark.parametrize("tid", [UMOUNTER, OTHER])
def test_an_umount_of_another_task_that_returns_meanwhile_is_no_success(tid):
    back = walk(400.05, tid, "returned", **WATCH)
    window = seen(put(3, WALKER, 3, syscall=STAT, **WATCH), back, refcount=4)
    assert window.spurious is (True if tid == UMOUNTER else None)


def test_a_busy_check_of_a_retry_is_not_that_of_the_first_umount():
    late = Check(T0_NS + 30 * MS, UMOUNTER, MNT, "refcount", 3)
    free = walk(31, WALKER, "put", 1, arming=watch_since(30), syscall=STAT, earlier=True)
    rows = [busy(0, tid=UMOUNTER, tier="fentry", refcount=3)]
    rows += [busy(29.95, tid=UMOUNTER, tier="fentry", refcount=3), umount(400, tier="fentry")]
    assert one(rows, evidence=Evidence(checks=(late,), walks=(free,))).spurious is None


@pytest.mark.parametrize("more", [0, 2100, 20_000])
def test_puts_that_were_dropped_leave_it_open(more):
    walks = [put(30, KEEPER, 2, syscall=CLOSE, **WATCH)]
    walks += [walk(31, OTHER, "put", 2, syscall=STAT, **WATCH) for _ in range(more)]
    walks += [walk(31, OTHER, "legitimized") for _ in range(more and 1)]
    window = seen(*walks, walk(400.05, UMOUNTER, "returned", **WATCH))
    assert window.spurious is (None if more else False)


def test_a_retry_that_succeeds_says_that_all_have_gone():
    walks = [put(3, OTHER, 3, syscall=STAT), walk(400.05, UMOUNTER, "returned", **WATCH)]
    window = seen(*walks, refcount=4)
    assert (window.klass, window.spurious) == ("transient-ref", True)


@pytest.mark.parametrize(
    ("given", "refcount", "said"),
    [
        ({}, 3, "held"),
        ({}, 4, "held"),  # of the other nothing is known, but that it had begun to go
        ({"walked": True}, 3, "held"),
        ({"walked": True}, 4, "unknown"),  # may have been opened since
        ({"arming": None}, 4, "unknown"),
    ],
)
def test_one_that_was_put_late_outside_a_path_walk_is_no_passer_by(given, refcount, said):
    late = put(30, WALKER, 2, syscall=-1, **{**WATCH, **given})
    others = [put(at, OTHER, 2, syscall=STAT, **WATCH) for at in range(31, 33)]
    back = walk(400.05, UMOUNTER, "returned", **WATCH)
    window = seen(late, *(others if refcount > 3 else ()), back, refcount=refcount)
    assert window.klass == said
    assert [h.pid for h in window.holders] == ([WALKER] if said == "held" else [])


@pytest.mark.parametrize("flags", [MNT_DETACH, MNT_FORCE])
def test_a_lazy_umount_that_succeeds_does_not(flags):
    assert seen(walk(400.05, UMOUNTER, "returned", **WATCH), flags=flags).spurious is None


@pytest.mark.parametrize("began_ms", [-0.01, 0.06, 350, 1100 * 1000])
def test_another_watch_than_that_of_the_first_check_has_not_seen_them_all(began_ms):
    settled = walk(0.6, OTHER, "put", 2, settled=True, arming=watch_since(began_ms))
    assert seen(settled).spurious is None


@pytest.mark.parametrize(("begin", "end", "spurious"), [(-9, -1, True), (-9, 1, None)])
def test_hits_that_the_kernel_skipped_meanwhile_leave_it_open(begin, end, spurious):
    skip = Skip(T0_NS + begin * MS, T0_NS + end * MS)
    settled = put(0.6, OTHER, 2, settled=True, syscall=STAT, **WATCH)
    window = seen(settled, skips=[skip])
    assert window.spurious is spurious
    assert ("some releases were not seen" in window.evidence[-1]) is (spurious is None)


def test_a_mount_that_was_counted_free_is_free_whatever_was_skipped():
    window = seen((0.6, OTHER, "put", 1), skips=[Skip(T0_NS, T0_NS + MS)])
    assert (window.klass, window.spurious) == ("transient-ref", True)


def test_two_umounts_of_one_task_in_one_batch_each_have_their_check():
    rows = [
        busy(0, tier="fentry", tid=UMOUNTER, refcount=3),
        busy(1, tier="fentry", tid=UMOUNTER, refcount=3, path="/other"),
    ]
    checks = [
        Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", 3),
        Check(T0_NS + MS + 50_000, UMOUNTER, MNT + 64, "submount", None),
    ]
    found = windows_of(rows, evidence=Evidence(checks=tuple(checks)))
    assert [(w.path, w.errno_site) for w in found] == [("/mnt", None), ("/other", "submount")]


RETRY = 70


def held_by(comm, *, blind=(), holders=()):
    """Return the window of a mount that a task of this name let go late; the retry is another's."""
    rows = [busy(0, tier="fentry", tid=UMOUNTER, refcount=3)]
    rows += [busy(20, tier="fentry", tid=RETRY, refcount=3)]
    rows += [umount(400, tier="fentry", tid=RETRY)]
    check = Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", 3)
    walks = (
        walk(20.01, RETRY, "legitimized"),
        walk(20.03, RETRY, "put", 3, syscall=UMOUNT),
        walk(20.09, RETRY, "returned", 2),
        replace(put(100, KEEPER, 1, syscall=-1, **WATCH), comm=comm),
        walk(399.9, RETRY, "legitimized"),
    )
    looks = [scan(rows[0], 3, *holders, blind=blind)] if blind or holders else []
    return one(rows, scans=looks, evidence=Evidence(checks=(check,), walks=walks))


UMOUNT = 166


def test_no_umount_is_among_those_who_held_what_it_was_to_unmount():
    window = held_by("cat")
    assert [(w.tid, w.comm) for w in window.walkers] == [(KEEPER, "cat")]
    assert [(h.pid, h.comm) for h in window.holders] == [(KEEPER, "cat")]
    assert not [fact for fact in window.evidence if str(RETRY) in fact]


def test_nor_does_an_umount_hold_it_whose_walk_was_held_up():
    window = seen(put(80, RETRY, 2, syscall=UMOUNT), put(81, WALKER, 1, syscall=STAT), refcount=4)
    assert (window.klass, window.spurious) == ("transient-ref", True)


def test_a_kernel_worker_is_no_holder_it_puts_what_an_io_uring_had():
    window = held_by("kworker/1:2")
    assert (window.klass, window.spurious) == ("held", False)
    (holder,) = window.holders
    assert (holder.pid, holder.tid, holder.detail) == (None, None, "an io_uring (kernel worker)")
    assert [(w.tid, w.comm) for w in window.walkers] == [(0, "an io_uring (kernel worker)")]
    assert "kworker" not in " ".join(window.evidence)


NOTE = "io-uring of pid {} (ring), fd 3: a file named x (the kernel reports no more)"


@pytest.mark.parametrize("pids", [(812,), (812, 812), (812, 813)])
def test_a_ring_that_may_have_had_it_is_mentioned(pids):
    (holder,) = held_by("kworker/1:2", blind=tuple(map(NOTE.format, pids))).holders
    assert holder.pid is None
    maybe = ", maybe that of pid 812 (ring)" if len(set(pids)) == 1 else ""
    assert holder.detail == "an io_uring (kernel worker)" + maybe


def test_the_ring_that_a_look_saw_is_named():
    ring = fd_of(812, kind="io-uring", comm="ring", seen=1)  # gone at the next look
    (holder,) = held_by("kworker/1:2", holders=(ring,)).holders
    assert (holder.kind, holder.pid, holder.comm) == ("io-uring", 812, "ring")


@pytest.mark.parametrize(("later", "said"), [(None, "unknown"), (2, "submount")])
def test_the_first_check_without_a_count_is_a_submount_where_later_ones_counted(later, said):
    rows = [busy(0, tier="fentry", tid=UMOUNTER), umount(400, tier="fentry", tid=UMOUNTER)]
    check = Check(T0_NS + 50_000, UMOUNTER, MNT, "unknown")
    window = one(rows, evidence=Evidence(checks=(check,), counted_ns=later))
    assert window.klass == said
