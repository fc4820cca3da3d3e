"""Umounts without a grace period, on kernels that leave it out by design."""

from __future__ import annotations

import pytest

from tests.correlate.test_functions import Functions, sync_steps
from tests.correlate.test_umounts import correlate
from umtrace.model.events import Kind
from umtrace.model.plan_line import PlanLine
from umtrace.probes.on_demand import on_demand_lines, waits_always

WAIT = {Kind.RCU, Kind.RCU_EXIT}


def unwaited(*, cleanup=True):
    return [step for step in sync_steps(cleanup=cleanup) if step[1] not in WAIT]


def one(stream, **options):
    rows, _ = correlate(stream.batch(), **options)
    (row,) = rows
    return row


def test_a_kernel_that_leaves_no_wait_out_has_lost_it():
    row = one(Functions().probed(7, 100, steps=unwaited()))
    assert (row["complete"], row["incomplete_why"], row["rcu_kind"]) == (False, "lost-events", None)


def test_without_a_wait_on_demand():
    row = one(Functions().probed(7, 100, steps=unwaited()), waits_always=False)
    assert (row["complete"], row["rcu_kind"], row["rcu_ns"]) == (True, "none", 0)
    assert (row["final_put"], row["errno"]) == ("self", 0)


def test_with_a_wait_on_demand():
    row = one(Functions().probed(7, 100, steps=sync_steps()), waits_always=False)
    assert (row["complete"], row["rcu_ns"] > 0) == (True, True)
    assert row["rcu_kind"] != "none"


@pytest.mark.parametrize("flags", [0, 2])
def test_a_deferred_put_is_by_a_worker_and_has_a_tail(flags):
    steps = unwaited(cleanup=False)
    if flags:
        steps = [step for step in steps if step[1] not in {Kind.CHECK, Kind.CHECKED}]
    stream = Functions().probed(7, 100, steps=steps, flags=flags)
    stream.foreign(20_000, 9, Kind.CLEANUP, comm=b"kworker/u4:1")
    stream.foreign(21_000, 9, Kind.CLEANUP_EXIT, comm=b"kworker/u4:1")
    row = one(stream)
    assert (row["complete"], row["rcu_kind"], row["final_put"]) == (True, "none", "kworker")
    assert row["tail_ns"] == 21_000 - 100 - row["latency_ns"]


def test_a_last_put_by_a_walker_explains_no_missing_wait():
    stream = Functions().probed(7, 100, steps=unwaited(cleanup=False))
    stream.foreign(20_000, 9, Kind.CLEANUP).foreign(21_000, 9, Kind.CLEANUP_EXIT)
    assert not one(stream)["complete"]


def test_the_plan_says_which_kernels_do():
    lines = on_demand_lines(["namespace_unlock", "mntput_unmounted"])
    assert [line.probe for line in lines] == ["mntput_unmounted"]
    assert not waits_always([PlanLine(meaning="umount calls"), *lines])
    assert waits_always([PlanLine(meaning="umount calls")])
    assert on_demand_lines(["namespace_unlock"]) == []


def test_the_plan_is_the_same_from_a_recording():
    lines = [PlanLine.from_dict(line.to_dict()) for line in on_demand_lines(["mntput_unmounted"])]
    assert not waits_always(lines)
