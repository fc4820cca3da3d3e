"""Rows become teardowns as they come: however they are split, and with what is left out counted."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stats.rows import batch_of
from tests.teardowns.scenes import numbered, umount
from umtrace.teardowns import Collector, Counting, collect, counting

S = 1_000_000_000
ROW = st.tuples(st.integers(0, 200), st.integers(0, 3), st.integers(1, 3), st.booleans())


def made(rows, splits=(), **options):
    """Return (owner, ids) of each teardown."""
    collector, found = Collector(**options), []
    edges = [0, *splits, len(rows)]
    for low, high in pairwise(edges):
        batch = batch_of(rows[low:high])
        found += [each for done in collector.add(batch) for each in done]
        if high < len(rows) and high > low:
            end = max(row["t_start"] + row["latency_ns"] for row in rows[:high])
            found += [each for done in collector.done(end) for each in done]
    found += [each for done in collector.finish() for each in done]
    return [(each.owner.name, sorted(each.rows.of("id").tolist())) for each in found]


@settings(deadline=None)
@given(st.lists(ROW, max_size=20), st.lists(st.integers(0, 20), max_size=4))
def test_any_split_gives_the_same(given_rows, splits):
    rows = numbered(
        umount(
            begin * S // 2,
            took * S // 4 + 1,
            mntns=space,
            origin="ns-exit" if ends else "umount",
        )
        for begin, took, space, ends in given_rows
    )
    whole = made(rows)
    split = made(rows, sorted(min(n, len(rows)) for n in splits), patience_ns=2 * S)
    assert sorted(split) == sorted(whole)
    assert sorted(n for _, ids in whole for n in ids) == list(range(len(rows)))


def test_containers_and_namespaces_are_apart():
    rows = numbered(
        [umount(0, 5, container="c1"), umount(1, 5, container="c1", mntns=8), umount(2, 5, mntns=9)]
    )
    assert made(rows) == [("c1", [0, 1]), ("9", [2])]


def test_what_is_in_no_teardown_is_counted():
    rows = [
        umount(0, 5, id=0),
        umount(0, 5, id=1) | {"latency_ns": None},
        umount(0, 5, id=2, mntns=None),
        umount(0, 5, id=3, origin="failed-mount"),
        umount(0, 5, id=4, origin="mount-internal"),
        umount(0, 5, id=5) | {"t_start": None},
    ]
    collector = Collector()
    assert not list(collector.add(batch_of(rows)))
    (done,) = collector.finish()
    assert [each.rows.of("id").tolist() for each in done] == [[0]]
    assert (collector.unplaced, collector.ownerless) == (2, 1)


def test_who_had_the_lock_is_seen_after_its_own_teardown_is_done(monkeypatch):
    holder = umount(0, 10, tid=7, id=0, mntns=1, lookup_ns=1, lock_ns=0, tree_ns=8)
    waiter = umount(2, 10 * S, tid=8, id=1, mntns=2, lookup_ns=1, lock_ns=6, tree_ns=1)
    collector = Collector(patience_ns=S)
    assert not list(collector.add(batch_of([holder])))
    (early,) = collector.done(holder["t_start"] + 5 * S)
    assert len(early) == 1
    assert not list(collector.add(batch_of([waiter])))
    (late,) = collector.finish()
    # It was done before anybody knew of the waiter, so nothing could keep it.
    assert late.teardown(0).scene.of("id").tolist() == [1]
    both = Collector()
    assert not list(both.add(batch_of([holder, waiter])))
    (done,) = both.finish()
    assert done.teardown(1).scene.of("id").tolist() == [0, 1]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(collect, "MOST", 100)
    monkeypatch.setattr(collect, "FEW", 50)
    collector, ids = Collector(), []
    for n in range(40):  # one owner without a pause
        rows = [umount((10 * n + k) * 1000, 999, id=10 * n + k) for k in range(10)]
        for done in collector.add(batch_of(rows)):
            ids += [number for each in done for number in each.rows.of("id").tolist()]
        assert sum(map(len, collector._parts)) <= 200
    assert collector.cut
    ids += [n for done in collector.finish() for each in done for n in each.rows.of("id").tolist()]
    assert ids == list(range(400))


def test_two_runs_with_the_same_namespace_number_are_two_teardowns():
    """As two runs of `umtrace exercise` a moment apart, in the tracepoint tier."""
    first = [umount(n * 1000, 900, tid=7) for n in range(3)]
    leaves = umount(3000, 900, tid=7, mntns=None, origin="ns-exit", path=None)
    second = [umount(5000 + n * 1000, 900, tid=8) for n in range(3)]
    rows = numbered([*first, leaves, *second])
    assert [ids for _, ids in made(rows)] == [[0, 1, 2], [4, 5, 6]]
    counting = Counting()
    assert not list(counting.add(batch_of(rows)))
    assert sum(each.owner.size for each in counting.finish()) == 2


@settings(deadline=None)
@given(st.lists(ROW, max_size=20), st.lists(st.integers(0, 20), max_size=4))
def test_counting_finds_the_same(given_rows, splits):
    rows = numbered(
        umount(
            begin * S // 2,
            took * S // 4 + 1,
            mntns=space or None,
            origin="ns-exit" if ends else "umount",
        )
        for begin, took, space, ends in given_rows
    )
    counting, collector, counted = Counting(), Collector(), []
    edges = [0, *sorted(min(n, len(rows)) for n in splits), len(rows)]
    for low, high in pairwise(edges):
        batch = batch_of(rows[low:high]).select(Counting.columns)
        counted += list(counting.add(batch))
    counted += list(counting.finish())
    assert not list(collector.add(batch_of(rows)))
    whole = [
        (each.owner.name, each.begin, each.end) for done in collector.finish() for each in done
    ]
    found = [
        (counting.owners[owner].name, begin, end)
        for each in counted
        for owner, begin, end in zip(*(column.tolist() for column in each), strict=True)
    ]
    assert sorted(found) == sorted(whole)
    assert [end for _, _, end in found] == sorted(end for _, _, end in found)
    assert counting.ownerless == collector.ownerless


def test_counting_is_bounded_too(monkeypatch):
    monkeypatch.setattr(counting, "MOST", 100)
    monkeypatch.setattr(counting, "FEW", 50)
    one, found = Counting(), 0
    for n in range(40):  # one owner without a pause
        rows = [umount((10 * n + k) * 1000, 999, id=10 * n + k) for k in range(10)]
        found += sum(len(each.owner) for each in one.add(batch_of(rows)))
        assert one._waiting <= 200
    assert one.cut == found > 0
