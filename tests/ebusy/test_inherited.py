"""A descriptor that a child had from its parent until its execve: no holder, and no path walk."""

from __future__ import annotations

import pytest

from tests.ebusy.streams import fd_of
from tests.ebusy.test_departures import MS, STAT, UMOUNTER, WALKER, WATCH, put, seen

CHILD, PARENT = 812, 800
EXEC = {"syscall": -1, "first_exec": True, "parent": PARENT}


def child(at_ms, left=None, **given):
    return put(at_ms, CHILD, left, **{**EXEC, **given})


@pytest.mark.parametrize("at_ms", [0.4, 30])
def test_it_is_told_from_a_path_walk_and_from_a_holder(at_ms):
    window = seen(child(at_ms, 1, settled=True, **WATCH))
    assert (window.klass, window.spurious, window.errno_site) == ("inherited-fd", False, "refcount")
    (holder,) = window.holders
    assert (holder.pid, holder.detail) == (CHILD, "inherited from pid 800, closed by its execve")
    assert window.hold[1] == at_ms * MS
    told = [fact for fact in window.evidence if "descriptor from its parent (pid 800)" in fact]
    assert told
    assert "a retry after a pause helps" in window.evidence[-1]


def test_it_is_said_of_a_retry_that_came_soon_too():
    window = seen(child(0.4, 2, **WATCH), (0.6, UMOUNTER, "returned", 1))
    assert window.klass == "inherited-fd"


def test_among_path_walks_that_were_held_up():
    walks = (put(1, WALKER, 3, syscall=STAT, **WATCH), child(20, 1, settled=True, **WATCH))
    assert seen(*walks, refcount=4).klass == "inherited-fd"


def test_a_holder_beside_it_is_the_reason():
    close = put(80, WALKER, 1, syscall=-1, settled=True, **WATCH)
    window = seen(child(1, 2, **WATCH), close, refcount=4)
    assert (window.klass, [h.pid for h in window.holders]) == ("held", [WALKER])


def test_an_unknown_parent_is_not_named():
    (holder,) = seen(child(0.4, 1, settled=True, parent=None, **WATCH)).holders
    assert holder.detail == "inherited, closed by its execve"


def test_a_holder_that_exits_is_told_to_do_so():
    window = seen(put(30, WALKER, 1, syscall=231, exiting=True, **WATCH))
    assert window.klass == "held"
    assert [h.detail for h in window.holders] == ["released by it as it exited"]


def test_a_scan_that_found_the_child_gives_the_descriptor():
    walks = (put(1, WALKER, 3, syscall=STAT, **WATCH), child(30, 1, settled=True, **WATCH))
    window = seen(*walks, refcount=4, found=[fd_of(CHILD, fd=7)])
    assert (window.klass, window.spurious) == ("inherited-fd", False)
    assert [(h.kind, h.pid, h.fd) for h in window.holders] == [("fd", CHILD, 7)]
    assert "a retry after a pause helps" in window.evidence[-1]


@pytest.mark.parametrize(
    "found",
    [
        [fd_of(WALKER)],
        [fd_of(CHILD), fd_of(PARENT)],
        [fd_of(CHILD), fd_of(CHILD, kind="cwd", fd=None)],
    ],
    ids=["another", "the parent too", "its directory too"],
)
def test_who_else_was_found_is_a_holder(found):
    window = seen(child(30, 1, settled=True, **WATCH), found=found)
    assert window.klass == "held"
    assert len(window.holders) == len(found)


def test_a_child_that_closed_late_what_it_was_not_seen_to_hold_is_no_proof():
    close = put(80, WALKER, 1, syscall=-1, settled=True, **WATCH)
    window = seen(child(30, 2, **WATCH), close, refcount=4, found=[fd_of(CHILD)])
    assert window.klass == "held"


def test_without_an_account_of_all_references_what_was_found_is_held():
    window = seen(child(30, 2), refcount=4, found=[fd_of(CHILD)])
    assert window.klass == "held"
