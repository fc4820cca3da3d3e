"""Which fields of an event must be there."""

from __future__ import annotations

import pytest

from umtrace.kernel.event_fields import NEEDED, objection
from umtrace.kernel.tracefs import Tracefs


def test_a_missing_field_is_named():
    assert objection("sched:sched_switch", {"prev_pid", "prev_state", "next_pid", "more"}) == ""
    said = objection("sched:sched_switch", {"prev_state"})
    assert said.endswith("sched:sched_switch of this kernel has no fields prev_pid, next_pid")
    said = objection("syscalls:sys_exit_umount", ())
    assert said.endswith("syscalls:sys_exit_umount of this kernel has no field ret")


def test_an_event_of_which_nothing_is_needed():
    assert objection("sched:sched_process_exit", ()) == ""


@pytest.mark.kernel
@pytest.mark.parametrize("event", [name for name in NEEDED if not name.startswith("ftrace:")])
def test_this_kernel_has_them(event):
    with Tracefs() as tracefs:
        assert objection(event, tracefs.field_offsets(event)) == ""
