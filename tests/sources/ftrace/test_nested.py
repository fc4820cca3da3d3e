"""Operations inside others: docs/events.md has the order of their events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.ftrace.builders import CLEANUP, PATH_UMOUNT, Task, callers, record, rows, umount
from umtrace.model.events import NESTED, Kind, Returned
from umtrace.sources.ftrace.records import LOST


def told(batch):
    return [
        (Kind(kind).name, bool(cpu & NESTED))
        for kind, cpu in zip(batch.events["kind"], batch.events["cpu"], strict=True)
    ]


def test_the_events_are_those_of_the_bpf_tiers():
    task = Task().umount().cleans(inside=Task.namespace_ends).cleans(0x500)
    batch = callers().feed(task.records)
    events = told(batch)
    begin = events.index(("TEARDOWN", True))
    assert events[begin - 1 :] == [
        ("CLEANUP", False),
        *(
            (kind, True)
            for kind in ("TEARDOWN", "MOUNT", "TREE", "UNLOCK", "RCU", "RCU_EXIT", "UNLOCK_EXIT")
        ),
        ("CLEANUP_EXIT", False),
        ("CLEANUP", True),
        ("CLEANUP_EXIT", True),
        ("RETURNED", False),
        ("RETURNED", True),
    ]
    assert batch.events["a"][-2:].tolist() == [Returned.OUTER, Returned.CLEANED]


def test_the_umount_of_a_namespaces_file_gives_two_whole_rows():
    task = Task().umount().cleans(inside=Task.namespace_ends).cleans(0x500)
    outer, inner = sorted(
        rows(callers().feed(task.records)), key=lambda row: row["origin"] != "umount"
    )
    assert (outer["origin"], outer["complete"], outer["path"]) == ("umount", True, "/mnt/a")
    assert (inner["origin"], inner["complete"], inner["path"]) == ("ns-exit", True, None)
    assert (outer["n_mounts"], inner["n_mounts"]) == (1, 1)
    assert (outer["final_put"], inner["final_put"]) == ("self", "self")
    assert outer["latency_ns"] == task.ts - 10 - 1000  # its task is not back before
    assert (outer["rcu_ns"], inner["rcu_ns"]) == (10, 10)


def test_a_namespace_that_leaves_nothing_to_clean_is_over_at_once():
    task = Task().umount().cleans(inside=lambda task: task.namespace_ends(mounts=0))
    batch = callers().feed(task.records)
    returned = batch.events[batch.events["kind"] == Kind.RETURNED]
    assert returned["a"].tolist() == [Returned.CLEANED, Returned.CLEANED]
    assert [row["complete"] for row in rows(batch)] == [True, True]


@given(
    outer=st.integers(1, 4), inner=st.integers(0, 4), at=st.integers(0, 3), cut=st.integers(0, 60)
)
def test_of_two_the_outer_ones_mounts_are_cleaned_first(outer, inner, at, cut):
    task = Task().umount(outer)
    for number in range(outer):
        here = number == min(at, outer - 1)
        task.cleans(
            0x100 + number, inside=(lambda task: task.namespace_ends(inner)) if here else None
        )
    end = task.ts - 10
    for number in range(inner):
        task.cleans(0x500 + number)
    both_over = task.ts - 10 if inner else end
    halves = callers()
    batches = halves.feed(task.records[:cut]), halves.feed(task.records[cut:]), halves.finish()
    found = sorted(rows(*batches), key=lambda row: row["origin"] != "umount")
    assert [row["origin"] for row in found] == ["umount", "ns-exit"]
    assert all(row["complete"] and row["latency_bound"] == "exact" for row in found)
    assert found[0]["latency_ns"] == both_over - 1000
    assert found[1]["final_put"] == ("self" if inner else "pending")
    assert halves.not_followed == 0


def test_what_is_inside_the_inner_one_is_counted_and_marks_it():
    task = Task().umount().cleans(inside=Task.namespace_ends)
    task.cleans(0x500, inside=lambda task: task.namespace_ends(mnt=0x600)).cleans(0x600)
    one = callers()
    found = {row["origin"]: row for row in rows(one.feed(task.records))}
    assert set(found) == {"umount", "ns-exit"}
    assert found["umount"]["complete"]
    assert found["umount"]["latency_ns"] == task.ts - 10 - 1000
    assert found["ns-exit"]["incomplete_why"] == "lost-events"
    assert one.not_followed == 1


def test_a_second_one_beside_the_first_is_counted_and_marks_the_outer_one():
    task = Task().umount(2).cleans(0x101, inside=Task.namespace_ends)
    task.cleans(inside=lambda task: task.namespace_ends(mnt=0x600)).cleans(0x500).cleans(0x600)
    one = callers()
    found = {row["origin"]: row for row in rows(one.feed(task.records), one.finish())}
    assert found["umount"]["incomplete_why"] == "lost-events"
    assert one.not_followed == 1


@pytest.mark.parametrize("inside_the_inner_one", [True, False])
def test_without_reference_counts_both_are_marked(inside_the_inner_one):
    task = Task().umount(2).cleans(0x101, inside=Task.namespace_ends)
    if inside_the_inner_one:
        task.cleans().cleans(0x500, inside=lambda task: task.namespace_ends(mnt=0x600))
    else:
        task.cleans(inside=lambda task: task.namespace_ends(mnt=0x600)).cleans(0x500)
    task.cleans(0x600)
    records = [r for r in task.records if not r.name.startswith("um_count")]
    # They stand in for it (5.10): a mount was taken down, and put last.
    for at in reversed([i for i, r in enumerate(records) if r.name == "um_unlock_exit"]):
        records[at:at] = [records[at]._replace(name="um_last")] * 2
    one = callers()
    found = rows(one.feed(records), one.finish())
    assert {row["incomplete_why"] for row in found} == {"lost-events"}
    assert one.not_followed == 1


def test_two_after_each_other_are_both_inside():
    task = Task().umount(2).cleans(0x101, inside=lambda task: task.namespace_ends(0))
    task.cleans(inside=lambda task: task.namespace_ends(mnt=0x600)).cleans(0x600)
    found = rows(callers().feed(task.records))
    assert sorted(row["origin"] for row in found) == ["ns-exit", "ns-exit", "umount"]
    assert all(row["complete"] for row in found)


def test_a_namespace_within_one_that_ends():
    task = Task().namespace_ends(2).cleans(0x500)
    task.cleans(0x501, inside=lambda task: task.namespace_ends(mnt=0x600)).cleans(0x600)
    found = rows(callers().feed(task.records))
    assert [row["origin"] for row in found] == ["ns-exit", "ns-exit"]
    assert all(row["complete"] for row in found)


@pytest.mark.parametrize("ret", [0, -2])
def test_a_mount_on_the_way_is_inside_the_umount(ret):
    task = Task().add(("um_enter", {"flags": 0, "comm": b"umount"}))
    task.namespace_ends(inum=0)
    if ret == 0:
        rest = [r for r in umount() if r.name not in {"um_enter", "um_cleanup", "um_cleanup_exit"}]
        for r in rest:
            task.add((r.name, {**r.fields, "caller": PATH_UMOUNT}))
        task.cleans()
    else:
        task.add(("um_exit", {"ret": ret}))
    task.cleans(0x500)
    found = {row["origin"]: row for row in rows(callers().feed(task.records))}
    assert set(found) == {"umount", "mount-internal"}
    assert all(row["complete"] for row in found.values())
    assert found["umount"]["errno"] == -ret
    assert found["mount-internal"]["final_put"] == "self"


def test_lost_records_mark_both():
    task = Task().umount().cleans(inside=Task.namespace_ends).cleans(0x500)
    at = next(i for i, r in enumerate(task.records) if r.name == "um_cleanup") + 2
    lost = record(task.records[at].ts_ns, LOST, tid=0)
    found = rows(callers().feed([*task.records[:at], lost, *task.records[at:]]))
    assert {row["incomplete_why"] for row in found} == {"lost-events"}
    assert len(found) == 2


def test_after_a_gap_a_cleanup_may_be_over_though_its_return_was_not_seen():
    task = Task().umount().add(("um_cleanup", CLEANUP))
    gap = record(task.ts, LOST, tid=0, until=task.ts + 5)
    later = Task(ts=task.ts + 10).namespace_ends().cleans(0x500)
    found = {
        row["origin"]: row for row in rows(callers().feed([*task.records, gap, *later.records]))
    }
    assert found["umount"]["incomplete_why"] == "lost-events"
    assert found["ns-exit"]["complete"]


def test_an_inner_one_whose_end_was_not_seen_is_marked_and_no_more():
    task = Task().umount().cleans(inside=Task.namespace_ends)
    task.records = [r for r in task.records if r.name != "um_unlock_exit" or r.ts_ns < 1100]
    found = {row["origin"]: row for row in rows(callers().feed(task.records))}
    assert found["umount"]["complete"]
    assert found["ns-exit"]["incomplete_why"] == "lost-events"


def test_a_task_that_does_something_else_inside_the_inner_one_ends_both():
    task = Task().umount().add(("um_cleanup", CLEANUP)).tree().add(("um_unlock", {}))
    again = Task(ts=task.ts).umount().cleans()
    found = rows(callers().feed([*task.records, *again.records]))
    marked = sorted((row["origin"], row["incomplete_why"] or "") for row in found)
    assert marked == [("ns-exit", "lost-events"), ("umount", ""), ("umount", "lost-events")]


@pytest.mark.parametrize("mounts", [1, 3])
def test_a_task_that_does_something_else_ends_both(mounts):
    task = Task().umount(mounts).cleans(inside=Task.namespace_ends)
    again = Task(ts=task.ts).umount().cleans()
    found = rows(callers().feed([*task.records, *again.records]))
    assert sorted(row["origin"] for row in found) == ["ns-exit", "umount", "umount"]
    assert [row["incomplete_why"] for row in found].count("running") == 0
