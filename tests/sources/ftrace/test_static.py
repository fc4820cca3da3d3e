"""The tracepoints alone: what becomes a row, and what stays unknown."""

from __future__ import annotations

import pytest

from tests.sources.ftrace.builders import record
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import OnStack
from umtrace.sources.ftrace.drain import LOST_GATED
from umtrace.sources.ftrace.records import LOST, STACK
from umtrace.sources.ftrace.static import StaticTranslator
from umtrace.sources.ftrace.task_tracker import TaskTracker

RCU = int(OnStack.UNLOCK | OnStack.RCU)
LAZY = 2


def enter(ts, flags=0, tid=7, **fields):
    return record(ts, "sys_enter_umount", tid, flags=flags, **fields)


def leave(ts, ret=0, tid=7):
    return record(ts, "sys_exit_umount", tid, ret=ret)


def sleeps(ts, on_stack=RCU, tid=7):
    return record(ts, STACK, tid, on_stack=on_stack)


def runs(ts, tid=7):
    return record(ts, "sched_switch", 0, prev_pid=0, prev_state=0, next_pid=tid)


def dead(ts, tid=7):
    return record(ts, "sched_switch", tid, prev_pid=tid, prev_state=32, next_pid=0)


def calls(ts, tid=7):
    return record(ts, "sys_enter", tid, id=3)


def exits(ts, tid=7):
    return record(ts, "sched_process_exit", tid, pid=tid, comm=b"x")


def rows(*records, shut_ns=(0, 0)):
    translator = StaticTranslator(TaskTracker())
    translator.shut_ns = shut_ns
    correlator = UmountCorrelator(clock_offset_ns=0, tier="ftrace-static")
    found = correlator.feed(translator.feed(records)).to_pylist()
    return found + correlator.finish().to_pylist()


UNSEEN = (
    "path", "mountpoint", "fstype", "source", "dev", "mount_id", "n_mounts", "mntns", "lookup_ns",
    "lock_ns", "tree_ns", "rcu_ns", "put_ns", "rcu_kind", "final_put", "final_put_comm", "tail_ns",
    "n_legitimized", "n_discounted", "refcount",
)  # fmt: skip


def test_what_no_record_shows_is_null():
    (row,) = rows(enter(100), leave(200), calls(260))
    assert {name: row[name] for name in UNSEEN} == dict.fromkeys(UNSEEN)
    assert (row["syscall_ns"], row["shutdown_ns"], row["latency_bound"]) == (100, 60, "upper")


def test_an_umount_has_its_wait_and_an_upper_bound():
    (row,) = rows(enter(100, LAZY), sleeps(120), runs(170), leave(200), calls(260))
    assert (row["mode"], row["errno"], row["complete"]) == ("lazy", 0, True)
    assert (row["latency_ns"], row["latency_bound"], row["syscall_ns"]) == (160, "upper", 100)
    assert (row["rcu_ns"], row["rcu_kind"], row["shutdown_ns"]) == (50, "expedited", 60)


def test_what_cannot_be_seen_is_null():
    (row,) = rows(enter(100), leave(200), calls(260))
    unknown = ("path", "mountpoint", "fstype", "source", "dev", "mntns", "mount_id", "n_mounts",
               "refcount", "rcu_ns", "lock_ns", "tree_ns", "final_put", "n_discounted")  # fmt: skip
    assert {row[column] for column in unknown} == {None}
    assert row["complete"]


def test_the_path_is_there_where_the_kernel_read_it():
    (row,) = rows(enter(100, __name_val=b"/mnt/a"), leave(200), calls(260))
    assert row["path"] == "/mnt/a"


@pytest.mark.parametrize(
    ("shown", "path"),
    [
        ("/mnt/grü".encode(), "/mnt/grü"),
        (b"/mnt/a.b", "/mnt/a.b"),
        (b"/mnt/\xff", "/mnt/\\xff"),
        (b"/mnt/" + b"l" * 160 + b"...", None),  # longer than the kernel's buffer
        (b"/mnt/gr\xc3.e", None),  # it calls the second byte unprintable
    ],
)
def test_a_path_that_is_known_not_to_be_whole_is_null(shown, path):
    (row,) = rows(enter(100, __name_val=shown), leave(200), calls(260))
    assert row["path"] == path
    assert row["complete"]


def test_a_failed_umount_ends_with_its_return():
    (row,) = rows(enter(100), leave(200, ret=-16))
    assert (row["errno"], row["latency_ns"], row["complete"]) == (16, 100, True)


def test_waits_are_all_told_or_none():
    # The end of the first sleep was not seen: 30 ns would be a wrong sum.
    (row,) = rows(enter(100), sleeps(110), sleeps(150), runs(180), leave(200), calls(260))
    assert (row["rcu_ns"], row["complete"]) == (None, True)
    (row,) = rows(enter(100), sleeps(110), leave(200), calls(260))
    assert (row["rcu_ns"], row["complete"]) == (None, True)


def test_a_switch_that_was_read_too_late_ends_no_later_wait():
    begun, read_late = (enter(100), leave(130), enter(140), sleeps(150)), runs(120)
    _first, row = rows(*begun, read_late, leave(200), calls(260))
    assert (row["rcu_ns"], row["complete"]) == (None, True)


def test_another_tasks_switch_ends_no_wait():
    (row,) = rows(enter(100), sleeps(110), runs(120, tid=8), runs(150), leave(200), calls(260))
    assert row["rcu_ns"] == 40


def test_a_sleep_on_the_way_out_is_the_shutdown():
    work = int(OnStack.TASK_WORK)
    (row,) = rows(enter(100), leave(200), sleeps(210, work), sleeps(230, work), calls(260))
    assert (row["shutdown_ns"], row["final_put"], row["complete"]) == (60, "self", True)


def test_the_death_of_the_task_is_a_bound_too():
    (row,) = rows(enter(100), leave(200), exits(230), dead(250))
    assert (row["latency_ns"], row["complete"]) == (130, True)


def test_the_next_umount_is_a_next_system_call():
    first, second = rows(enter(100), leave(200), enter(230), leave(300), calls(310))
    assert (first["latency_ns"], second["latency_ns"]) == (130, 80)


def test_a_namespace_that_goes_down_with_its_task():
    down = int(OnStack.PUT_NS | OnStack.UNLOCK | OnStack.RCU)
    (row,) = rows(exits(100), sleeps(120, down), runs(150), dead(200))
    assert (row["origin"], row["complete"], row["mntns"]) == ("ns-exit", True, None)
    assert (row["rcu_ns"], row["latency_ns"], row["latency_bound"]) == (30, 80, "approx")


@pytest.mark.parametrize("on_stack", [0x80, RCU])
def test_who_sleeps_outside_umount_is_nobodys_business(on_stack):
    assert rows(sleeps(120, on_stack), runs(150), calls(170), dead(200)) == []


def test_a_gap_marks_what_was_under_way_and_what_began_in_it():
    gap = record(150, LOST, 0, until=300)
    found = rows(
        enter(100), gap, leave(200), calls(210),
        enter(250, tid=8), leave(260, tid=8), calls(270, tid=8),
        enter(310, tid=9), leave(320, tid=9), calls(330, tid=9),
    )  # fmt: skip
    assert [row["complete"] for row in found] == [False, False, True]


def test_a_gap_behind_the_gate_leaves_the_rows_and_takes_the_waits():
    gap = record(150, LOST_GATED, 0, until=190)
    (row,) = rows(enter(100), sleeps(110), runs(130), gap, leave(200), calls(260))
    assert (row["complete"], row["rcu_ns"], row["errno"]) == (True, None, 0)
    (row,) = rows(enter(100), leave(140), gap, calls(260))
    assert not row["complete"]  # its next system call may be in the gap


def test_a_gap_behind_the_gate_goes_on_for_those_who_come_before_its_end():
    gap = record(50, LOST_GATED, 0, until=190)
    (row,) = rows(gap, enter(100), sleeps(160), runs(195), leave(200), calls(260))
    assert (row["complete"], row["rcu_ns"]) == (True, None)  # an end before 195 may be lost
    (row,) = rows(gap, enter(195), sleeps(200), runs(230), leave(240), calls(260))
    assert (row["complete"], row["rcu_ns"]) == (True, 30)
    (row,) = rows(enter(20), gap, leave(180), calls(260))
    assert not row["complete"]  # left within the gap


def test_a_gate_that_was_shut_on_an_umount_hides_its_waits_or_its_end():
    (row,) = rows(enter(100), sleeps(120), runs(150), leave(200), calls(260), shut_ns=(90, 110))
    assert (row["complete"], row["rcu_ns"]) == (True, None)
    (row,) = rows(enter(100), leave(200), calls(260), shut_ns=(190, 210))
    assert not row["complete"]


def test_an_umount_that_began_before_the_trace_has_no_beginning():
    (row,) = rows(leave(200, ret=-22))
    assert (row["complete"], row["incomplete_why"], row["errno"]) == (False, "no-enter", 22)
