"""What is said of a task is never a guess: known from its birth, or looked up, or unknown."""

from __future__ import annotations

import pytest

from tests.sources.ftrace.builders import record
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.sources.ftrace.records import LOST
from umtrace.sources.ftrace.static import StaticTranslator
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.tasks import Task

THREAD = 0x10000
S = 1_000_000_000


def born(ts, tid=500, parent=2, flags=0, comm=b"bash"):
    return record(ts, "task_newtask", parent, pid=tid, clone_flags=flags, comm=comm)


def gap(ts, until):
    return record(ts, LOST, 0, until=until)


def umount(ts, tid=500):
    return (
        record(ts, "sys_enter_umount", tid, flags=0),
        record(ts + 5, "sys_exit_umount", tid, ret=0),
        record(ts + 9, "sys_enter", tid, id=3),
    )


def who(lineage, *records):
    """Return process, name and cgroup of the umounts in these records, all of them whole."""
    correlator = UmountCorrelator(clock_offset_ns=0, tier="ftrace-static")
    rows = correlator.feed(StaticTranslator(lineage).feed(records)).to_pylist()
    rows += correlator.finish().to_pylist()
    assert all(row["complete"] for row in rows)
    return [(row["pid"], row["comm"], row["cgroup_id"]) for row in rows]


def blank():
    return TaskTracker(lambda: ())


def test_a_birth_tells_process_and_name():
    assert who(blank(), born(10), *umount(100)) == [(500, "bash", None)]
    thread = born(20, tid=501, parent=500, flags=THREAD, comm=b"worker")
    assert who(blank(), born(10), thread, *umount(100, tid=501)) == [(500, "worker", None)]


def renamed(ts, new, old=b"bash", tid=500, **fields):
    return record(ts, "task_rename", tid, oldcomm=old, newcomm=new, **fields)


@pytest.mark.parametrize("fields", [{"pid": 500}, {}], ids=["with pid", "6.18.0 to 6.18.15"])
def test_an_exec_changes_the_name(fields):
    found = who(blank(), born(10), renamed(20, b"umount", **fields), *umount(100))
    assert found == [(500, "umount", None)]


def test_a_rename_without_pid_of_a_task_that_is_not_known():
    assert who(blank(), renamed(20, b"umount"), *umount(100)) == [(None, "umount", None)]


def test_a_rename_without_pid_of_another_thread_is_not_taken_for_its_own():
    thread = born(20, tid=501, parent=500, flags=THREAD, comm=b"worker")
    other = renamed(30, b"renamed", old=b"worker", tid=500)
    records = (born(10), thread, other)
    assert who(blank(), *records, *umount(100)) == [(500, "bash", None)]
    # Which of its threads got the name is not said: no name is better than the old one.
    assert who(blank(), *records, *umount(100, tid=501)) == [(500, None, None)]


def test_a_death_without_pid_is_that_of_the_task_that_runs():
    death = record(50, "sched_process_exit", 500, comm=b"bash")
    assert who(blank(), born(10), death, *umount(100)) == [(None, None, None)]


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ({"cgroup_attach_task"}, (500, "bash", None)),
        ({"task_rename"}, (500, None, 9)),
        ({"sched_process_exit"}, (500, "bash", 9)),
        ({"task_newtask"}, (500, "bash", 9)),
        ({"task_newtask", "sched_process_exit"}, (None, None, None)),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else "",
)
def test_what_only_an_absent_event_shows_is_unknown(without, expected):
    tasks = [Task(500, 500, 9, b"bash")]
    lineage = TaskTracker(lambda: tasks, clock=lambda: 50, without=without)
    lineage.read_tasks()
    assert who(lineage, *umount(100)) == [expected]


def test_after_a_gap_a_task_is_nobody_that_is_known():
    # Its exec, or its death and another's birth, may be in the gap.
    assert who(blank(), born(10), gap(50, 60), *umount(100)) == [(None, None, None)]


def test_a_birth_before_the_end_of_the_gap_may_be_outdated():
    assert who(blank(), gap(50, 60), born(55), *umount(100)) == [(None, None, None)]
    assert who(blank(), gap(50, 60), born(65), *umount(100)) == [(500, "bash", None)]


def test_a_thread_of_an_unknown_process_is_not_taken_for_one():
    thread = born(70, tid=501, parent=500, flags=THREAD, comm=b"worker")
    records = (born(10), gap(50, 60), thread, *umount(100, tid=501))
    assert who(blank(), *records) == [(None, "worker", None)]


@pytest.fixture
def seen():
    """A lineage that finds one thread, and the clock it looks at."""
    clock = [0]
    lineage = TaskTracker(lambda: [Task(500, 490, 7, b"thread")], clock=lambda: clock[0])
    return lineage, clock


def test_what_is_looked_up_holds_from_then_on(seen):
    lineage, clock = seen
    clock[0] = 200
    lineage.read_tasks()
    found = who(lineage, *umount(100), *umount(300))
    assert found == [(None, None, None), (490, "thread", 7)]


def test_what_a_record_told_meanwhile_is_newer_than_what_was_looked_up(seen):
    lineage, clock = seen
    clock[0] = 200
    lineage.read_tasks()
    renamed = record(150, "task_rename", 500, pid=500, newcomm=b"new")
    assert who(lineage, renamed, *umount(300)) == [(490, "new", 7)]


def test_tasks_are_looked_up_again_after_a_gap(seen):
    lineage, clock = seen
    lineage.read_tasks()
    lineage.settle()
    assert who(lineage, gap(50, 60), *umount(100)) == [(None, None, None)]
    lineage.refresh()
    assert lineage.tgid(500) == 0  # too soon after they were listed last
    clock[0] = 2 * S
    lineage.refresh()
    assert who(lineage, *umount(2 * S + 100)) == [(490, "thread", 7)]


def test_a_look_from_before_the_end_of_a_gap_is_worth_nothing(seen):
    lineage, clock = seen
    clock[0] = 200
    lineage.read_tasks()
    assert who(lineage, gap(150, 250), *umount(300)) == [(None, None, None)]
    clock[0] = 2 * S
    lineage.read_tasks()
    assert who(lineage, gap(400, 500), *umount(3 * S)) == [(490, "thread", 7)]


def test_a_trace_of_somebody_else_has_each_task_as_its_own_process():
    assert who(TaskTracker(), *umount(100)) == [(500, None, None)]
