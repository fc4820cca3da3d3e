"""Who waited behind whom: the holder that the kernel names, and who had the lock after it."""

from __future__ import annotations

from tests.teardowns.scenes import rows_of, umount
from umtrace.present.waited import READERS, UNSEEN, behind_row, behind_text, sees_holders
from umtrace.teardowns import behind

HOLD = {"lookup_ns": 10, "lock_ns": 0, "tree_ns": 12_000_000}
HOLDER = {"lock_holder_tid": 7, "lock_holder_comm": "dockerd", "lock_holder_op": "umount"}
MS = 1_000_000


def chain():
    """A holder, three that come after it, and one that waits for all four."""
    rows = [umount(0, 20 * MS, tid=7, id=0, comm="dockerd", path="/big", **HOLD)]
    for n in range(3):
        lock = 12 * MS + n * 9 * MS - (n + 1) * 1000
        times = {"lookup_ns": 10, "lock_ns": lock, "tree_ns": 9 * MS, **HOLDER}
        rows.append(umount((n + 1) * 1000, 60 * MS, tid=10 + n, id=n + 1, **times))
    last = {"lookup_ns": 10, "lock_ns": 39 * MS - 9000, "tree_ns": 1, **HOLDER}
    return [*rows, umount(9000, 90 * MS, tid=20, id=4, path="/last", **last)]


def test_a_chain_of_waiters():
    rows = rows_of(chain())
    waits = behind(rows)
    assert [wait.row for wait in waits] == [4, 3, 2, 1]
    assert [(wait.first, wait.others) for wait in waits] == [
        (0, (1, 2, 3)),
        (0, (1, 2)),
        (0, (1,)),
        (0, ()),
    ]
    said = "waited 39.0 ms behind umount of /big by dockerd (7) (its tree 12.0 ms) and 3 others"
    assert behind_text(waits[0], rows) == said
    assert behind_text(waits[2], rows).endswith(" and 1 other")


def test_a_holder_that_is_no_umount_is_named_by_what_the_kernel_says():
    given = umount(0, 9 * MS, id=0, lookup_ns=1, lock_ns=5 * MS, tree_ns=1)
    rows = rows_of([given | HOLDER | {"lock_holder_op": "clone"}])
    assert behind_text(behind(rows)[0], rows) == "waited 5.00 ms behind clone by dockerd (7)"
    assert behind_row(given | HOLDER) == "waited 5.00 ms behind umount by dockerd (7)"
    assert not behind_row(given)


def test_an_umount_that_overlaps_is_not_accused():
    # The tracepoint tier: no lookup, no tree, no holder; another umount ran all the time.
    rows = rows_of(
        [umount(0, 50 * MS, tid=7, id=0), umount(5, 20 * MS, tid=8, id=1, lock_ns=10 * MS)]
    )
    (wait,) = behind(rows)
    assert (wait.first, wait.others, wait.is_known) == (None, (), False)
    seen, unseen = (behind_text(wait, rows, seen=seen) for seen in (True, False))
    assert READERS in seen
    assert "Hint" in seen
    assert seen.startswith(unseen.removesuffix(UNSEEN))
    assert UNSEEN in unseen


def test_who_gave_the_lock_on_before_the_wait_is_not_accused():
    rows = rows_of(
        [
            umount(0, 50 * MS, tid=7, id=0, lookup_ns=10, lock_ns=0, tree_ns=100),
            umount(200, 20 * MS, tid=8, id=1, lookup_ns=10, lock_ns=MS, tree_ns=1),
        ]
    )
    assert [wait.is_known for wait in behind(rows)] == [False]


def test_the_end_of_a_namespace_has_the_lock_from_its_begin():
    rows = rows_of(
        [
            umount(0, 9 * MS, tid=7, id=0, origin="ns-exit", path=None, tree_ns=6 * MS),
            umount(10, 9 * MS, tid=8, id=1, lookup_ns=10, lock_ns=7 * MS, tree_ns=1),
        ]
    )
    (wait,) = behind(rows)
    assert wait.others == (0,)
    assert behind_text(wait, rows) == (
        "waited 7.00 ms behind the end of namespace 4026532177 by umount (7)"
    )


def test_which_recordings_can_say_it():
    assert sees_holders("fentry", (1, 1))
    assert not sees_holders("fentry", (1, 0))
    assert not sees_holders("tracepoint", (1, 1))
