"""What delays a grace period, from two samples of the tasks that could run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from umtrace.stuck.grace import delayed_by
from umtrace.stuck.sample import Sample
from umtrace.stuck.stacks import Stand, stand

MS = 1_000_000
THREAD = Sample(
    pid=15,
    tid=15,
    comm="rcu_preempt",
    state="R",
    started=3,
    cpu=1,
    stime=0,
    ran="1000 0 5",
    words=(),
    names=(),
    stand=None,
)
HOG = replace(THREAD, pid=300, tid=300, comm="python", ran=f"{1000 * MS} 0 9", stime=100)


def later(sample, ms, *, stime=0, slices=0):
    ran, waited, times = map(int, sample.ran.split())
    text = f"{ran + ms * MS} {waited} {times + slices}"
    return replace(sample, ran=text, stime=sample.stime + stime)


def cause(before, now):
    return delayed_by(before, {sample.tid: sample for sample in now})


def test_a_thread_of_rcu_that_gets_no_cpu():
    found = cause([THREAD, HOG], [THREAD, later(HOG, 500, stime=0)])
    assert found.text == (
        "an RCU grace period: its thread rcu_preempt (pid 15) gets no time on CPU 1,"
        " where python (pid 300) runs"
    )
    assert found.pids == (300,)


def test_a_real_time_task_can_share_its_cpu():
    hog = replace(HOG, realtime=True)
    found = cause([THREAD, hog], [THREAD, later(hog, 500)])
    assert found.command == "chrt -o -p 0 300"
    assert cause([THREAD, HOG], [THREAD, later(HOG, 500)]).command is None
    two = replace(hog, pid=301, tid=301)
    assert cause([THREAD, hog, two], [THREAD, later(hog, 250), later(two, 250)]).command is None


def test_a_thread_that_runs_now_and_then_is_not_starved():
    found = cause([THREAD, HOG], [later(THREAD, 1, slices=1), later(HOG, 500)])
    assert "gets no time" not in found.text


def test_a_task_that_stays_in_the_kernel():
    found = cause([HOG], [later(HOG, 500, stime=50)])
    text = "CPU 1 does not leave the kernel, where python (pid 300) runs"
    assert found.text.endswith(text)


@pytest.mark.parametrize(
    "now",
    [
        later(HOG, 500, stime=5),  # in user mode
        later(HOG, 500, stime=50, slices=3),  # gives the CPU to others
        later(HOG, 20, stime=2),  # too short to say
        replace(later(HOG, 500, stime=50), cpu=0),
        replace(later(HOG, 500, stime=50), started=9),  # another task of that number
        replace(later(HOG, 500, stime=50), state="S"),
    ],
)
def test_others_delay_nothing(now):
    assert "dmesg" in cause([HOG], [now]).text


def test_a_lock_whose_functions_the_kernel_leaves_out():
    """Linux 6.18: the lock sleeps in functions of the scheduler, which a stack does not show."""
    names = ["path_umount", "__x64_sys_umount", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"]
    assert stand(names, "umount", in_call=True) == Stand("lock", "namespace-lock")
    deeper = ["mutex_lock", *names]
    assert stand(deeper, "umount", in_call=True) == Stand("other", None)


def test_the_data_of_nfs_wait_for_its_server():
    names = (
        "folio_wait_writeback __filemap_fdatawait_range filemap_fdatawait_keep_errors"
        " sync_inodes_sb sync_filesystem generic_shutdown_super kill_anon_super nfs_kill_super"
        " deactivate_locked_super cleanup_mnt task_work_run"
    )
    assert stand(names.split(), "umount.nfs") == Stand("shutdown", "nfs", "nfs")
