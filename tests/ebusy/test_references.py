"""How many references made a mount busy, and how many of them a scan named for certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ebusy.streams import MS, busy, fd_of, one, scan, umount
from tests.ebusy.test_departures import WATCH, put, walk
from tests.stats.rows import T0_NS
from umtrace.model.evidence import Check, Evidence, Skip
from umtrace.model.holders import Holder, scans_from_arrow, scans_to_arrow
from umtrace.model.windows import windows_from_arrow, windows_to_arrow
from umtrace.present.ebusy import window_line, window_text

MNT, OTHER_MNT = 0xFFFF888000001000, 0xFFFF888000002000
UMOUNTER, LOOKER, STRANGER = 9, 70, 71
READLINK = 89
SAMPLED_NS = (T0_NS + 6 * MS, T0_NS + 18 * MS)


def cwd_of(pid, **given):
    return Holder(kind="cwd", pid=pid, comm="sh", detail="/mnt", seen=8, looks=8, **given)


def back(left, at_ms=0.09, **given):
    return walk(at_ms, UMOUNTER, "returned", left, **{**WATCH, **given})


def looks(left, *at_ms, **given):
    """The puts of the one who reads the links, which tell what is left."""
    return [put(at, LOOKER, left, syscall=READLINK, **{**WATCH, **given}) for at in at_ms]


def window_of(*walks, holders=(), refcount=4, checks=(), skips=(), **scanned):
    """An EBUSY at 0 to 0.1 ms, a scan from 5 to 19 ms that samples until 18 ms, and the end."""
    first = busy(0, tier="fentry", tid=UMOUNTER, refcount=refcount)
    rows = [first, umount(400, tier="fentry", tid=UMOUNTER)]
    check = Check(T0_NS + 50_000, UMOUNTER, MNT, "refcount", refcount)
    found = replace(
        scan(first, 5, *holders, blind=scanned.pop("blind", ())),
        **{"sampled_ns": SAMPLED_NS, "readers": (LOOKER,), **scanned},
    )
    evidence = Evidence(checks=(check, *checks), walks=walks, skips=tuple(skips))
    return one(rows, evidence=evidence, scans=[found])


def said(window):
    return (window.refs, window.refs_named)


FILES = (fd_of(ref=0), fd_of(fd=4, ref=1))


def test_two_files_are_two_references():
    window = window_of(back(3), *looks(3, 7, 8), holders=FILES)
    assert said(window) == (2, 2)
    assert "a scan named 2 of 2 references" in window.evidence


@pytest.mark.parametrize("left", [2, 4, None])
def test_where_the_two_counts_differ_nothing_is_known(left):
    assert said(window_of(back(left), *looks(3, 7, 8), holders=FILES)) == (None, None)


def test_without_a_second_count_nothing_is_known():
    assert said(window_of(*looks(3, 7, 8), holders=FILES)) == (None, None)


def test_the_return_of_another_umount_is_no_second_count():
    other = walk(0.09, STRANGER, "returned", 3, **WATCH)
    assert said(window_of(other, *looks(3, 7, 8), holders=FILES)) == (None, None)


def test_one_file_under_two_numbers_is_one_reference():
    shared = (fd_of(ref=0), fd_of(fd=4, ref=0), fd_of(pid=43, ref=0))
    window = window_of(back(3), *looks(3, 7, 8), holders=shared)
    assert said(window) == (2, 1)
    assert "the other is no working directory" in " ".join(window.evidence)


def test_what_a_scan_could_not_look_at_is_said_of_the_rest():
    window = window_of(back(3), *looks(3, 7, 8), holders=FILES[:1], blind=("maps of pid 7",))
    assert said(window) == (2, 1)
    assert "a scan named 1 of 2 references; not seen: maps of pid 7" in window.evidence


def test_more_names_than_references_are_no_number():
    three = (*FILES, cwd_of(44, ref=2))
    assert said(window_of(back(3), *looks(3, 7, 8), holders=three)) == (2, None)


@pytest.mark.parametrize(
    "holder",
    [
        fd_of(fd=5, ref=2, seen=7),
        fd_of(fd=5, ref=2, of="copy"),
        Holder(kind="uprobe", detail="/mnt/x"),
    ],
    ids=["a walker", "of a copy", "of a kind that may have several"],
)
def test_who_is_not_counted(holder):
    assert said(window_of(back(3), *looks(3, 7, 8), holders=(FILES[0], holder))) == (2, 1)


# A file that another opened meanwhile is one of those of the check only if none of these has gone.
BUSY_SCAN = (walk(3, STRANGER, "legitimized"), back(3))


@pytest.mark.parametrize(
    ("walks", "named"),
    [
        (looks(3, 7, 8), 2),
        (looks(3, 7), None),
        (looks(3, 5.5, 5.6), None),
        (looks(3, 17.9, 18.1), None),
        (looks(4, 7, 8), None),
        ([*looks(4, 7), *looks(3, 8, 9)], 2),
        (looks(3, 7, 8, arming=None), None),
        ([], None),
        ([put(2, LOOKER, 3, syscall=231, **WATCH), *looks(3, 7, 8)], None),
        ([put(2, STRANGER, 3, syscall=3, **WATCH), *looks(3, 7, 8)], None),
        ([*looks(3, 7, 8), put(9, STRANGER, 3, syscall=3, **WATCH)], 2),
    ],
    ids=[
        "counted twice",
        "counted once",
        "counted before all were found",
        "counted when who was sampled may have left",
        "another count",
        "a walker inside for a moment",
        "not watched",
        "not counted",
        "one who looks held it and has ended",
        "one of the check went before",
        "one of the check went after",
    ],
)
def test_while_others_walk_the_counts_must_show_that_the_references_are_the_same(walks, named):
    assert said(window_of(*BUSY_SCAN, *walks, holders=FILES)) == (2, named)


def test_a_hole_in_the_watch_leaves_it_open():
    skip = Skip(T0_NS + 4 * MS, T0_NS + 5 * MS)
    window = window_of(back(3), *looks(3, 7, 8), holders=FILES, skips=[skip])
    assert said(window) == (2, None)


# What was not sampled (a mapping, a loop device) counts if nobody walked or left until the end.
MAPPED = Holder(kind="maps", pid=42, comm="nginx", detail="/mnt/lib")
LOOP = Holder(kind="loop", comm="/dev/loop3", detail="/mnt/image")


@pytest.mark.parametrize("rest", [MAPPED, LOOP], ids=["mapping", "loop device"])
def test_what_cannot_be_sampled_counts_where_it_was_quiet(rest):
    assert said(window_of(back(3), *looks(3, 7, 8), holders=(FILES[0], rest))) == (2, 2)
    assert said(window_of(back(3), holders=(FILES[0], rest))) == (2, 2)
    window = window_of(*BUSY_SCAN, *looks(3, 7, 8), holders=(FILES[0], rest))
    assert said(window) == (2, 1)


def test_a_mapping_may_be_of_the_file_that_is_open():
    mapped = replace(MAPPED, detail="/mnt/x")
    window = window_of(back(3), *looks(3, 7, 8), holders=(FILES[0], mapped))
    assert said(window) == (2, 1)
    assert "a scan named 1 of 2 references, or more" in window.evidence


def test_nobody_found_where_it_was_quiet_is_none_named():
    assert said(window_of(back(3))) == (2, 0)
    assert said(window_of(*BUSY_SCAN)) == (2, None)


def test_another_mount_that_is_busy_may_have_ended_the_watch():
    other = Check(T0_NS + 2 * MS, STRANGER, OTHER_MNT, "refcount", 3)
    assert said(window_of(back(3), holders=(LOOP,), checks=[other])) == (2, None)


def test_the_probes_send_no_more_than_so_many_puts():
    many = looks(3, *(6 + number / 100 for number in range(64)))
    assert said(window_of(back(3), *many, holders=(FILES[0], LOOP))) == (2, 1)


@pytest.mark.parametrize("sampled_ns", [(), (7,), (1, 2, 3), (9, 1)])
def test_a_recording_without_these_facts_or_with_odd_ones_has_no_number(sampled_ns):
    facts = {"sampled_ns": sampled_ns, "readers": ()}
    assert said(window_of(back(3), *looks(3, 7, 8), holders=FILES, **facts)) == (2, None)
    facts = {"sampled_ns": sampled_ns, "readers": (LOOKER,)}
    window = window_of(*BUSY_SCAN, *looks(3, 7, 8), holders=FILES, **facts)
    assert said(window) == (2, None)


def test_who_was_seen_to_put_all_has_all():
    late = put(300, STRANGER, 1, syscall=3, settled=True, **WATCH)
    window = window_of(back(2), late, refcount=3)
    assert (window.klass, said(window)) == ("held", (1, 1))


def test_it_is_stored():
    window = window_of(back(3), *looks(3, 7, 8), holders=FILES)
    assert windows_from_arrow(windows_to_arrow([window])) == [window]
    old = windows_to_arrow([window]).drop_columns(["refs", "refs_named"])
    assert [said(each) for each in windows_from_arrow(old)] == [(None, None)]
    first = busy(0)
    found = replace(scan(first, 5, *FILES), sampled_ns=SAMPLED_NS, readers=(1, 2))
    assert scans_from_arrow(scans_to_arrow([found])) == [found]


TWO = (FILES[0], cwd_of(44, ref=2))


def test_it_is_said_before_the_holders():
    window = window_of(back(3), *looks(3, 7, 8), holders=TWO)
    assert window_line(window).endswith(": /mnt: 2 of 2 references: nginx 42 (fd), sh 44 (cwd)")
    assert "by 2 of 2 references: nginx 42 (fd), sh 44 (cwd)" in window_text(window, 1)
    less = replace(window, refs=3)
    assert ": 2 of 3 references: nginx 42" in window_line(less)
    assert ": 1 of 1 reference: nginx 42" in window_line(replace(window, refs=1, refs_named=1))


@pytest.mark.parametrize("known", [(None, None), (3, None), (3, 0)])
def test_nothing_is_said_of_references_that_are_not_known(known):
    refs, named = known
    window = window_of(back(3), *looks(3, 7, 8), holders=TWO)
    unknown = replace(window, refs=refs, refs_named=named)
    assert window_line(unknown).endswith(": /mnt: nginx 42 (fd), sh 44 (cwd)")
