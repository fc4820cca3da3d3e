from __future__ import annotations

import pytest

from umtrace.kernel.stacks import classify
from umtrace.records.events import Wait

SYSCALL = ["__x64_sys_umount", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"]

# Stacks as kernels show them, innermost first; the release is named for each.
STACKS = {
    "6.18 expedited": (
        ["__schedule", "schedule", "synchronize_rcu_expedited", "namespace_unlock", "path_umount"],
        Wait.RCU_EXPEDITED,
    ),
    "6.12-rt normal": (
        ["schedule", "schedule_timeout", "__wait_for_common", "__wait_rcu_gp",
         "synchronize_rcu_normal.part.0", "synchronize_rcu_expedited", "namespace_unlock",
         "path_umount"],
        Wait.RCU_NORMAL,
    ),
    "6.1-rt normal": (
        ["schedule", "schedule_timeout", "wait_for_completion", "__wait_rcu_gp",
         "synchronize_rcu_expedited", "namespace_unlock", "path_umount"],
        Wait.RCU_NORMAL,
    ),
    "6.12 behind another caller's grace period": (
        ["schedule", "exp_funnel_lock", "synchronize_rcu_expedited", "namespace_unlock"],
        Wait.RCU_PIGGYBACK,
    ),
    "6.12 queueing for exp_mutex": (
        ["schedule", "schedule_preempt_disabled", "__mutex_lock.constprop.0", "exp_funnel_lock",
         "synchronize_rcu_expedited", "namespace_unlock"],
        Wait.RCU_EXPEDITED,
    ),
    "preempted while dropping dentries": (
        ["__schedule", "preempt_schedule", "shrink_dentry_list", "namespace_unlock"],
        Wait.OTHER,
    ),
    "namespace_sem": (
        ["schedule", "schedule_preempt_disabled", "rwsem_down_write_slowpath", "down_write",
         "path_umount"],
        Wait.NAMESPACE_LOCK,
    ),
    "namespace_sem on PREEMPT_RT": (
        ["schedule", "rt_mutex_slowlock_block.constprop.0", "rwbase_write_lock", "down_write",
         "put_mnt_ns", "exit_nsproxy_namespaces", "do_exit"],
        Wait.NAMESPACE_LOCK,
    ),
    "s_umount is another rwsem": (
        ["schedule", "rwsem_down_write_slowpath", "down_write", "deactivate_super", "cleanup_mnt",
         "task_work_run", "exit_to_user_mode_loop"],
        Wait.SHUTDOWN,
    ),
    "a rwsem of the file system in umount_begin": (
        ["schedule", "rwsem_down_write_slowpath", "down_write", "fuse_abort_conn",
         "fuse_umount_begin", "path_umount"],
        Wait.OTHER,
    ),
    "RCU of the bdi in the shutdown is not ours": (
        ["schedule", "synchronize_rcu_expedited", "bdi_unregister", "generic_shutdown_super",
         "kill_block_super", "deactivate_locked_super", "cleanup_mnt", "task_work_run"],
        Wait.SHUTDOWN,
    ),
    "autofs in the path walk": (
        ["schedule", "autofs_wait", "autofs_mount_wait", "autofs_d_automount", "__traverse_mounts",
         "step_into", "path_lookupat", "filename_lookup", "user_path_at"],
        Wait.LOOKUP,
    ),
    "preempted in the syscall": (["__schedule", "preempt_schedule", "path_umount"], Wait.OTHER),
}  # fmt: skip


@pytest.mark.parametrize("name", STACKS)
def test_classify(name):
    frames, expected = STACKS[name]
    assert classify([*frames, *SYSCALL]) is expected


def test_a_stack_that_could_not_be_read():
    assert classify([]) is Wait.UNKNOWN
