"""When the extra references of a busy mount went, by the counts that the probes make."""

from __future__ import annotations

import pytest

from tests.ebusy.streams import MS, busy, one, umount, windows_of
from tests.stats.rows import T0_NS
from umtrace.records.clues import Check, Clues, Walk

MNT = 0xFFFF888000001000
UMOUNTER, WALKER, OTHER = 9, 50, 51


def seen(*walks, refcount=3):
    """Return the window of an EBUSY at 0 to 0.1 ms, and a retry 400 ms later."""
    rows = [
        busy(0, tier="fentry", tid=UMOUNTER, refcount=refcount),
        umount(400, tier="fentry", tid=UMOUNTER),
    ]
    check = Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", refcount)
    clues = Clues(checks=(check,), walks=tuple(walk(*each) for each in walks))
    return one(rows, clues=clues)


def walk(at_ms, tid, what, left=None):
    ts = T0_NS + int(at_ms * MS)
    return Walk(ts, tid, "stat", MNT, what, pid=tid, left=left)


def test_a_put_that_frees_the_mount_soon_is_transient():
    window = seen((0.09, UMOUNTER, "returned", 2), (0.4, WALKER, "put", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert (window.first_success_ns, window.first_success_bound) == (0.4 * MS, "exact")
    assert [(w.tid, w.what) for w in window.walkers] == [(WALKER, "put")]


def test_a_put_before_the_umount_returns_counts_from_that_put():
    window = seen((0.07, WALKER, "put", 2), (0.09, UMOUNTER, "returned", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert window.first_success_ns == 0.07 * MS
    assert "before it returned" in " ".join(window.evidence)


def test_a_put_that_nobody_saw_is_transient_all_the_same():
    window = seen((0.09, UMOUNTER, "returned", 1))
    assert (window.klass, window.spurious) == ("transient-ref", True)
    assert "somebody unseen" in " ".join(window.evidence)


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


@pytest.mark.parametrize("left", [None, 2, 3])
def test_a_put_that_leaves_references_frees_nothing(left):
    window = seen((0.4, WALKER, "put", left))
    assert (window.klass, window.spurious) == ("unknown", None)
    assert window.first_success_bound == "upper"


def test_puts_before_the_check_do_not_count():
    assert seen((0.01, WALKER, "put", 1)).klass == "unknown"


def test_two_umounts_of_one_task_in_one_batch_each_have_their_check():
    rows = [
        busy(0, tier="fentry", tid=UMOUNTER, refcount=3),
        busy(1, tier="fentry", tid=UMOUNTER, refcount=3, path="/other"),
    ]
    checks = [
        Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", 3),
        Check(T0_NS + MS + 50_000, UMOUNTER, MNT + 64, "submount", None),
    ]
    found = windows_of(rows, clues=Clues(checks=tuple(checks)))
    assert [(w.path, w.errno_site) for w in found] == [("/mnt", None), ("/other", "submount")]
