"""The numbers of a teardown: counted by hand; what is not known is null."""

from __future__ import annotations

from tests.stats.rows import batch_of
from tests.teardowns.scenes import umount
from umtrace.teardowns import SCHEMA, Collector, to_batch

MS = 1_000_000


def one(rows, **options):
    collector = Collector(**options)
    assert not list(collector.add(batch_of(rows)))
    (done,) = collector.finish()
    (teardown,) = done
    return teardown


def numbers(rows):
    return one(rows).numbers()


def step(n, **given):
    return umount(n * 10 * MS, 9 * MS, id=n, n_mounts=2, rcu_ns=5 * MS, gp_seq=4 * n, **given)


def test_counts_and_sums():
    found = numbers(
        [
            step(0, lock_ns=MS, shutdown_ns=MS),
            step(1, errno=16, path="/a", lock_ns=MS, shutdown_ns=0),
            step(2, path="/a", lock_ns=MS, shutdown_ns=MS),
            step(3, origin="ns-exit", path=None, shutdown_ns=MS),
        ]
    )
    assert (found["umounts"], found["failed"], found["retries"], found["ns_ends"]) == (4, 1, 1, 1)
    assert (found["mounts"], found["lock_ns"]) == (8, 3 * MS)
    assert (found["shutdowns"], found["shutdown_ns"]) == (3, 3 * MS)
    assert found["duration_ns"] == 39 * MS
    assert found["parallelism"] == 1.0
    assert found["path"] == [0, 1, 2, 3]
    assert found["outside_ns"] == 3 * MS
    assert (found["gp_in_row"], found["gp_in_row_ns"], found["gp_unknown"]) == (4, 20 * MS, 0)
    assert found["saved_ns"] == 15 * MS


def test_waits_at_once_are_not_in_a_row():
    rows = [umount(n, 9 * MS, tid=n, id=n, rcu_ns=5 * MS, gp_seq=4) for n in range(1, 5)]
    found = numbers(rows)
    assert (found["gp_in_row"], found["gp_in_row_ns"], found["gp_ns"]) == (1, 5 * MS, 20 * MS)
    assert 3.99 < found["parallelism"] <= 4
    assert found["saved_ns"] == 0


def test_an_equal_number_was_shared_already():
    rows = [step(n) | {"gp_seq": 4} for n in range(3)]
    assert numbers(rows)["saved_ns"] == 0


def test_unknown_is_null_and_counted():
    rows = [step(0) | {"gp_seq": None}, step(1), step(2) | {"rcu_ns": None, "n_mounts": None}]
    found = numbers(rows)
    assert found["saved_ns"] is None
    assert found["mounts"] is None
    assert (found["gp_in_row"], found["gp_unknown"]) == (2, 1)
    assert found["lock_ns"] is None
    assert found["shutdown_ns"] is None
    assert found["shutdowns"] == 0


def test_a_bound_is_no_count_of_shutdowns():
    found = numbers([step(0, shutdown_ns=MS, latency_bound="upper")])
    assert (found["shutdowns"], found["shutdown_ns"], found["exact"]) == (None, MS, False)


def test_one_grace_period_has_nothing_to_share_with():
    assert numbers([step(0) | {"gp_seq": None}])["saved_ns"] == 0


def test_a_retry_is_of_the_same_path_in_the_same_namespace():
    rows = [
        step(0, errno=16, path="/a", container="c"),
        step(1, path="/a", container="c", mntns=5),
        step(2, path="/b", container="c"),
        step(3, path=None, errno=16, container="c"),
        step(4, path=None, container="c"),
    ]
    assert numbers(rows)["retries"] == 0


def test_the_second_of_two_expires_is_no_retry():
    rows = [step(0, errno=11, path="/a", container="c"), step(1, path="/a", container="c")]
    assert (numbers(rows)["failed"], numbers(rows)["retries"]) == (1, 0)


def test_the_table_has_every_number():
    batch = to_batch([one([step(0)])])
    assert batch.schema == SCHEMA
    assert set(one([step(0)]).numbers()) == set(SCHEMA.names)
