from __future__ import annotations

import re

import numpy as np
import pytest

from umtrace.correlate.waits import Wait, classify
from umtrace.kernel.symbols import Symbols
from umtrace.probes.stacks import FUNCTIONS, function_constants, on_stack
from umtrace.sources.bpf.text import program_text

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
        Wait.RCU_QUEUE,
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
    bits = np.array([on_stack([*frames, *SYSCALL])], np.uint64)
    assert classify(bits, np.array([False])).tolist() == [expected]


def test_a_stack_that_could_not_be_read():
    assert classify(np.zeros(1, np.uint64), np.array([True])).tolist() == [Wait.UNKNOWN]


def test_constants_of_known_and_unknown_functions():
    symbols = Symbols([0x1000, 0x2000, 0x2040], ["namespace_unlock", "task_work_run", "x"])
    constants = function_constants(symbols)
    assert constants["UM_FN_UNLOCK"] == "0x1000ULL,4096"
    assert constants["UM_FN_TASK_WORK"] == "0x2000ULL,64"
    assert constants["UM_FN_PUT_NS"] == "0x0ULL,0"
    assert constants["UM_KNOWS_TASK_WORK"] == "1"
    assert function_constants(Symbols([], []))["UM_KNOWS_TASK_WORK"] == "0"


def test_the_text_of_all_entries_into_the_kernel():
    symbols = Symbols(
        [0x1000, 0x1010, 0x1400], ["__entry_text_start", "entry_SYSCALL_64", "__entry_text_end"]
    )
    assert function_constants(symbols)["UM_FN_ENTRY"] == "0x1000ULL,1024"
    assert function_constants(Symbols([], []))["UM_FN_ENTRY"] == "0x0ULL,0"


def test_the_program_and_the_list_name_the_same_functions():
    used = set(re.findall(r"UM_FN_(?!\*)\w+", program_text()))
    assert used == {*FUNCTIONS, "UM_FN_ENTRY"}
