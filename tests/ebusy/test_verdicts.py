from __future__ import annotations

import pytest

from tests.ebusy.streams import MS, busy, fd_of, one, scan, umount, windows_of
from tests.stats.rows import T0_NS
from umtrace.model.evidence import Check, Evidence, Walk
from umtrace.model.holders import Holder

DETACH, EXPIRE, FORCE = 2, 4, 1


def said(window):
    return (window.klass, window.spurious)


def test_a_retry_that_succeeds_at_once_is_evidence():
    window = one([busy(0), busy(1), umount(2)])
    assert said(window) == ("transient-ref", True)
    assert window.attempts == 3
    assert window.duration_ns == 2 * MS
    assert window.cost_ns == 3 * MS // 10
    assert (window.first_success_ns, window.first_success_bound) == (2 * MS, "upper")
    assert "a sync umount succeeded 1.9 ms after the first EBUSY" in window.evidence[-1]


@pytest.mark.parametrize("at", [12, 30, 1000])
def test_a_retry_that_succeeds_late_is_none(at):
    assert said(one([busy(0), umount(at)])) == ("unknown", None)


def test_the_threshold_is_the_users():
    rows = [busy(0), umount(50)]
    assert said(one(rows, spurious_within_ns=60 * MS)) == ("transient-ref", True)


@pytest.mark.parametrize(
    ("flags", "mode"), [(DETACH, "lazy"), (FORCE, "sync"), (DETACH | FORCE, "lazy")]
)
def test_a_lazy_or_forced_success_proves_nothing(flags, mode):
    window = one([busy(0), umount(1, flags=flags, mode=mode)])
    assert said(window) == ("unknown", None)
    assert "shows no holder" in " ".join(window.evidence)


def test_a_success_of_a_mount_that_has_no_name_proves_nothing():
    window = one([busy(0, path=None, mntns=None), umount(1, path=None, mntns=None)])
    assert said(window) == ("unknown", None)
    assert "of this mount or of another" in " ".join(window.evidence)


def test_a_mount_below_that_is_unmounted_first_is_no_spurious_ebusy():
    window = one([busy(0), umount(1, path="/mnt/a/b"), umount(2)])
    assert said(window) == ("submount", False)
    assert [(h.kind, h.detail) for h in window.holders] == [("submount", "/mnt/a/b")]
    assert "the mount below at /mnt/a/b was unmounted 0.900 ms" in " ".join(window.evidence)


@pytest.mark.parametrize(
    "other",
    [
        umount(1, path="/mnt2"),
        umount(1, path="/mnt/a", mntns=8),
        umount(1, path="mnt/a"),
        umount(-1, path="/mnt/a"),
        umount(1, errno=22, path="/mnt/a"),
    ],
    ids=["beside", "other namespace", "relative", "before", "failed"],
)
def test_what_is_no_mount_below(other):
    assert said(one([busy(0), other, umount(2)])) == ("transient-ref", True)


def test_a_mount_below_that_went_late_or_came_late_decides_nothing():
    first = busy(0)
    late = one([first, umount(300, path="/mnt/a"), umount(301)])
    assert said(late) == ("unknown", None)
    assert "was unmounted 299.9 ms after" in " ".join(late.evidence)
    rows = [first, umount(8, path="/mnt/a"), umount(9)]
    assert said(one(rows, scans=[scan(first, 3, mounted=None)])) == ("submount", False)
    assert said(one(rows, scans=[scan(first, 3)])) == ("transient-ref", True)


def test_a_named_holder_makes_it_real():
    first = busy(0)
    window = one([first, umount(300)], scans=[scan(first, 40, fd_of())])
    assert said(window) == ("held", False)
    assert window.holders[0].comm == "nginx"
    assert window.dev == "0:99"
    assert "nginx (42): fd 3 at /mnt/x, in 8 of 8 samples" in window.evidence


def test_who_was_missing_at_one_look_is_a_walker():
    first = busy(0)
    window = one([first, umount(300)], scans=[scan(first, 2, fd_of(seen=5))])
    assert said(window) == ("unknown", None)
    assert [(w.tid, w.what, w.count) for w in window.walkers] == [(42, "seen (fd)", 5)]


def test_a_look_that_found_nobody_proves_nothing_as_not_all_holders_can_be_seen():
    first = busy(0)
    rows = [first, umount(300)]
    for look in (scan(first, 5), scan(first, 40), scan(first, 5, blind=("pid 1",))):
        window = one(rows, scans=[look])
        assert said(window) == ("unknown", None)
        assert "found no holder in 12 processes" in " ".join(window.evidence)
    for missing_ms in (9, 11, None):
        passer = fd_of(seen=5, missing_ns=missing_ms and T0_NS + missing_ms * MS)
        window = one(rows, scans=[scan(first, 5, passer)])
        assert said(window) == ("unknown", None)
        assert "found no lasting holder" in " ".join(window.evidence)
        both = scan(first, 5, passer, fd_of(pid=43))
        assert one(rows, scans=[both]).klass == "held"


NUMBERED = {"mount_id": 5, "tier": "fentry"}


@pytest.mark.parametrize(
    ("given", "spurious"),
    [
        ({}, None),  # it may have waited for 60 ms, and then have found it free
        ({"rcu_ns": 55 * MS}, True),
        ({"rcu_ns": 20 * MS, "shutdown_ns": 35 * MS}, True),
        ({"lookup_ns": 0, "lock_ns": 0}, None),  # asleep, that is: it may have waited for a CPU
        ({**NUMBERED, "lookup_ns": 1000, "lock_ns": 1000}, True),
        ({**NUMBERED, "lookup_ns": 1000, "lock_ns": 50 * MS}, None),
        ({**NUMBERED, "lookup_ns": None, "lock_ns": 1000}, None),
    ],
)
def test_an_umount_that_waited_may_have_found_the_mount_free_late(given, spurious):
    same = {name: given[name] for name in NUMBERED if name in given}
    window = one([busy(0, **same), umount(2, took_ms=60, **given)])
    assert window.spurious is spurious


def test_an_umount_that_began_before_the_ebusy_may_have_succeeded_long_after():
    window = one([busy(0, tid=1), umount(-5, tid=2, took_ms=400)])
    assert window.spurious is None


@pytest.mark.parametrize(("mounted", "spurious"), [(True, None), (False, True), (None, True)])
def test_a_mount_at_the_path_after_the_success_is_another_or_the_same(mounted, spurious):
    rows = [busy(0), umount(2)]
    window = one(rows, scans=[scan(rows[1], 3, mounted=mounted)])
    assert window.spurious is spurious
    assert ("may have been of another mount" in " ".join(window.evidence)) is (spurious is None)


def test_a_look_after_the_success_does_not_count():
    first = busy(0)
    window = one([first, umount(20)], scans=[scan(first, 40, mounted=False)])
    assert said(window) == ("unknown", None)


def test_a_mount_that_is_held_after_the_success_is_another_or_the_same():
    """Something mounted over it may have been unmounted in its place."""
    first = busy(0)
    window = one([first, umount(2)], scans=[scan(first, 40, fd_of())])
    assert said(window) == ("unknown", None)
    same = busy(0, mount_id=5)
    rows = [same, umount(2, mount_id=5)]
    assert said(one(rows, scans=[scan(same, 40, fd_of())])) == ("transient-ref", True)


def test_submount_and_copy_from_a_look():
    first = busy(0)
    below = Holder(kind="submount", detail="/mnt/below (tmpfs)")
    assert said(one([first], scans=[scan(first, 40, below)])) == ("submount", False)
    copy = fd_of(of="copy", mntns=99)
    window = one([first], scans=[scan(first, 40, copy)])
    assert said(window) == ("propagated-copy", False)
    assert "mount namespace 99" in " ".join(window.evidence)
    both = scan(first, 40, below, fd_of())
    assert said(one([first], scans=[both])) == ("held", False)


@pytest.mark.parametrize(
    ("refcount", "klass", "spurious"),
    [(None, "unknown", None), (2, "propagated-copy", False), (3, "unknown", None)],
)
def test_the_count_at_the_check(refcount, klass, spurious):
    window = one([busy(0, refcount=refcount, tier="fentry")])
    assert said(window) == (klass, spurious)
    assert window.refcount == refcount


@pytest.mark.parametrize(("site", "klass"), [("submount", "submount"), ("copy", "propagated-copy")])
def test_the_check_itself(site, klass):
    first = busy(0, tier="fentry")
    check = Check(T0_NS + 10, first["tid"], 0xFF, site, 2, 4026)
    window = one([first], evidence=Evidence(checks=(check,)))
    assert (*said(window), window.errno_site) == (klass, False, site)


def test_expire_is_never_spurious_and_eagain_is_no_window():
    assert said(one([busy(0, flags=EXPIRE), umount(1)])) == ("expire", False)
    assert windows_of([umount(0, 11, flags=EXPIRE), umount(1, flags=EXPIRE)]) == []


def test_plain_calls_beside_expiring_ones_have_a_reason_of_their_own():
    first = busy(0)
    holder = fd_of(7)
    window = one([first, busy(20, flags=EXPIRE), umount(40)], scans=[scan(first, 1, holder)])
    assert said(window) == ("held", False)
    assert "1 of 2 calls had MNT_EXPIRE" in " ".join(window.evidence)
    retried = one([busy(0, flags=EXPIRE), busy(1), umount(2)])
    assert said(retried) == ("transient-ref", True)
    freed = one([busy(0, flags=EXPIRE), busy(1, flags=EXPIRE), umount(2)])
    assert said(freed) == ("expire", False)


def test_another_errno_ends_a_window_only_if_the_mount_is_gone():
    gone = one([busy(0), umount(1, 22)])
    assert said(gone) == ("unknown", None)
    assert "errno 22" in " ".join(gone.evidence)
    assert said(one([busy(0), umount(1, 1), umount(2)])) == ("transient-ref", True)


def _walks(*steps, mnt=0xFF):
    return tuple(
        Walk(T0_NS + int(at * MS), tid, f"walker-{tid}", mnt, what) for at, tid, what in steps
    )


def _checked(first, count):
    return Check(T0_NS + int(0.05 * MS), first["tid"], 0xFF, "refcount", count)


@pytest.mark.parametrize(
    "steps",
    [
        [(-0.01, 5, "legitimized")],
        [(-0.01, 5, "legitimized"), (200, 5, "put")],
        [(-0.01, 5, "legitimized"), (-0.005, 5, "put")],
        [(-0.01, 5, "discounted"), (0.2, 5, "put")],
    ],
)
def test_puts_without_a_count_prove_nothing(steps):
    first = busy(0, refcount=3, tier="fentry")
    evidence = Evidence(walks=_walks(*steps), checks=(_checked(first, 3),))
    assert said(one([first], evidence=evidence)) == ("unknown", None)


def test_other_mounts_walkers_do_not_count():
    first = busy(0, refcount=3, tier="fentry")
    walks = _walks((-0.01, 5, "legitimized"), (0.2, 5, "put"), mnt=0xEE)
    evidence = Evidence(walks=walks, checks=(_checked(first, 3),))
    assert said(one([first], evidence=evidence)) == ("unknown", None)
