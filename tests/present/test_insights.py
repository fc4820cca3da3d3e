"""Insights: each from rows that show it, and none from rows that do not."""

from __future__ import annotations

import pytest

from tests.stats.rows import batch_of, row
from tests.teardowns.scenes import umount
from tests.teardowns.test_numbers import one
from umtrace.model.windows import EbusyWindow, windows_to_arrow
from umtrace.present import insights as told
from umtrace.present.insights import Evidence, Insight, insights
from umtrace.present.sections.insights import section
from umtrace.stats.notable import Notable
from umtrace.stats.windows import WindowTotals

MS = 1_000_000


def counted(rows):
    notable = Notable()
    for low in range(0, len(rows), 7):  # batch by batch
        notable.add(batch_of(rows[low : low + 7]))
    return notable


def failed_mount(n, **given):
    return row(id=n, origin="failed-mount", comm="runc:[2:INIT]", rcu_ns=2 * MS, **given)


def test_failed_mounts_that_waited():
    rows = [failed_mount(n) for n in range(9)] + [row(id=9, rcu_ns=5 * MS)]
    found = told.failed_mounts(counted(rows).failed_mounts)
    assert found.text == (
        "9 mounts failed and waited for a grace period each, 18.0 ms together, 9 of them by "
        "runc:[2:INIT]"
    )
    assert (found.weight_ns, found.n_rows) == (18 * MS, 9)
    assert found.whole.endswith("(rows 0, 1, 2 and 6 more)")


def test_a_failed_mount_that_did_not_wait_is_none():
    rows = [failed_mount(0) | {"rcu_ns": None}, failed_mount(1) | {"rcu_ns": 0}]
    assert told.failed_mounts(counted(rows).failed_mounts) is None


def window(klass, attempts, begin_ns=0):
    return EbusyWindow(
        klass=klass,
        spurious=False,
        begin_ns=begin_ns,
        end_ns=begin_ns + 5 * MS,
        attempts=attempts,
        umount_id=attempts,
    )


def test_retries():
    windows = [window("held", n, n * 5 * MS) for n in (1, 3, 4)]
    totals = WindowTotals.of([windows_to_arrow(windows)])
    found = told.retried(totals, [4, 3])
    assert found.text == "5 umounts were retries after EBUSY, in 3 windows of 15.0 ms together"
    assert found.rows == (4, 3)
    overlap = [window("held", n, n * MS) for n in (4, 1, 3)]
    found = told.retried(WindowTotals.of([windows_to_arrow([each]) for each in overlap]))
    assert found.short == "5 retries after EBUSY, busy for 8.00 ms", "1 ms to 9 ms"
    once = WindowTotals.of([windows_to_arrow(windows[:1])])
    assert told.retried(once) is None
    after = windows_to_arrow([window("lazy-tail", 9)])
    assert told.retried(WindowTotals.of([after])) is None


def tree(n=60, **given):
    """What `umount -R /m` does: a tree of n mounts, the deepest first."""
    paths = [f"/m/{k}" for k in range(n - 1)] + ["/m"]
    return [
        umount(k * 3 * MS, 2 * MS, id=k, tid=7, path=path, rcu_ns=MS, gp_seq=4 * k, **given)
        for k, path in enumerate(paths)
    ]


def test_umounts_one_by_one():
    found = told.one_by_one(one(tree()))
    assert found.text == (
        "60 umounts one by one at and below /m by umount (7): 60 grace periods in a row, 60.0 ms; "
        "umount2(/m, MNT_DETACH) takes all with one"
    )
    assert (found.weight_ns, found.n_rows) == (59 * MS, 60)
    assert len(f"insight: {found.short}") <= 80


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "lazy"},
        {"origin": "expire"},
        {"errno": 16},
    ],
)
def test_other_umounts_are_not_one_by_one(change):
    assert told.one_by_one(one(tree(**change))) is None


def test_umounts_of_other_trees_are_not_one_by_one():
    rows = tree()
    assert told.one_by_one(one([each | {"path": f"/x{each['id']}"} for each in rows])) is None
    assert told.one_by_one(one([each | {"tid": each["id"]} for each in rows])) is None
    assert told.one_by_one(one([each | {"path": f"{each['path']}x"} for each in rows])) is None
    assert told.one_by_one(one(rows[-4:])) is None, "too few"
    assert told.one_by_one(one([each | {"rcu_ns": None} for each in rows])) is None


def test_a_shutdown_that_dominates():
    rows = [
        umount(0, 90 * MS, id=0, path="/data", fstype="ext4", shutdown_ns=80 * MS),
        umount(91 * MS, 9 * MS, id=1, shutdown_ns=MS),
    ]
    found = told.shutdown_dominates(one(rows))
    assert found.text == (
        "the shutdown of ext4 at /data takes 80.0 ms, 80.0 % of the teardown of namespace "
        "4026532177"
    )
    assert found.rows == (0,)
    bound = told.shutdown_dominates(one([each | {"latency_bound": "upper"} for each in rows]))
    assert "takes at most 80.0 ms" in bound.text
    assert told.shutdown_dominates(one([rows[0] | {"shutdown_ns": 40 * MS}, rows[1]])) is None
    assert told.shutdown_dominates(one([rows[0] | {"shutdown_ns": None}])) is None


def test_grace_periods_that_are_not_expedited():
    rows = [row(id=n, rcu_ns=20 * MS, rcu_kind="normal") for n in range(4)]
    rows += [row(id=4, rcu_ns=MS, rcu_kind="expedited"), row(id=5, rcu_ns=0, rcu_kind="none")]
    notable = counted(rows)
    why = "RCU grace periods normal, not expedited: rcu_normal is set"
    found = told.normal_grace_periods(notable.normal, notable.waited, why)
    assert found.text == (
        "4 grace periods of 5 were normal, not expedited, 20.0 ms each on average: rcu_normal is "
        "set"
    )
    unsaid = told.normal_grace_periods(notable.normal, notable.waited, "")
    assert unsaid.text.endswith("the reason is not recorded")
    few = counted([*rows, *(row(id=n, rcu_ns=MS, rcu_kind="expedited") for n in range(9))])
    assert told.normal_grace_periods(few.normal, few.waited, why) is None


def test_it_was_not_umount():
    found = told.not_umount(["docker", "rm", "-f", "web"], 670 * MS, 23 * MS)
    assert found.text == (
        "it was not umount: `docker rm -f web` ran for 670 ms, and all umounts of the recording "
        "took 23.0 ms (3.4 %)"
    )
    assert told.not_umount([], 670 * MS, 23 * MS) is None
    assert told.not_umount(["x"], 670 * MS, None) is None, "a latency is unknown"
    assert told.not_umount(["x"], 670 * MS, 200 * MS) is None
    assert told.not_umount(["x"], 6 * MS, MS) is None, "to start it takes as long"
    assert told.not_umount(["x"], None, MS) is None
    assert told.not_umount(["x"], 670 * MS, 23 * MS, 600 * MS) is None, "EBUSY took it"
    assert told.not_umount(["x"], 670 * MS, 23 * MS, 60 * MS)


def test_one_unknown_latency_makes_the_sum_unknown():
    rows = [row(id=0, latency_ns=5), row(id=1, latency_ns=None)]
    assert counted(rows).latency_ns is None
    assert counted(rows[:1]).latency_ns == 5


def test_the_five_heaviest_and_each_has_a_number_and_rows(monkeypatch):
    many = [Insight(str(n), f"{n}", f"{n} rows", n) for n in range(9)]
    monkeypatch.setattr(told, "_all", lambda _evidence: [None, *many])
    assert [each.weight_ns for each in insights(Evidence())] == [8, 7, 6, 5, 4]


def test_every_insight_has_a_number_and_all_but_one_their_rows():
    rows = [failed_mount(n) for n in range(9)] + [
        row(id=9 + n, rcu_ns=MS, rcu_kind="normal") for n in range(9)
    ]
    down = one(tree())
    evidence = Evidence(
        notable=counted(rows), teardowns=[down], command=["x"], ran_ns=10**12, rcu=""
    )
    found = insights(evidence)
    assert {each.name for each in found} == {
        "failed-mounts", "one-by-one", "rcu-normal", "not-umount"
    }  # fmt: skip
    for each in found:
        assert any(char.isdigit() for char in each.short)
        assert any(char.isdigit() for char in each.text)
        assert each.rows or each.name == "not-umount"
    assert [each.weight_ns for each in found] == sorted(
        (each.weight_ns for each in found), reverse=True
    )


def test_the_section_of_none_and_of_some():
    assert section([]).line == "insights: none"
    some = section([Insight("a", "x" * 200, "text 1", 5, (1,), 1)])
    assert len(some.line) == 80
    assert some.data[0]["rows"] == [1]
