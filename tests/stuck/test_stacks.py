"""What kernel stacks show: real ones, of Linux 5.10 to 7, innermost function first."""

from __future__ import annotations

import pytest

from umtrace.stuck.stacks import Stand, frames, holding_function, stand, system_call

_END = "do_syscall_64 entry_SYSCALL_64_after_hwframe"
_LEAVING = f"task_work_run exit_to_user_mode_loop {_END}"
_SHUTDOWN = f"deactivate_locked_super cleanup_mnt {_LEAVING}"
_WALK = "__lookup_slow walk_component path_lookupat filename_lookup"
_FUSE = "request_wait_answer __fuse_simple_request"


def _of(*parts):
    return " ".join(parts).split()


_STACKS = [
    (
        f"{_FUSE} fuse_lookup_name fuse_lookup {_WALK} user_path_at __x64_sys_umount {_END}",
        "dockerd",
        Stand("lookup", "fuse"),
    ),
    (
        f"{_FUSE} fuse_lookup_name fuse_lookup {_WALK} vfs_statx __do_sys_newfstatat {_END}",
        "umount",
        Stand("lookup", "fuse"),
    ),
    (f"{_FUSE} fuse_lookup {_WALK} vfs_statx __do_sys_newfstatat {_END}", "ls", None),
    (
        f"{_FUSE} fuse_send_destroy fuse_conn_destroy fuse_kill_sb_blk {_SHUTDOWN}",
        "umount",
        Stand("shutdown", "fuse", "fuseblk"),
    ),
    (
        (
            "folio_wait_bit folio_wait_writeback __filemap_fdatawait_range"
            " filemap_fdatawait_keep_errors sync_inodes_sb sync_filesystem generic_shutdown_super"
            f" kill_block_super ext4_kill_sb {_SHUTDOWN}"
        ),
        "umount",
        Stand("shutdown", "writeback", "ext4"),
    ),
    (
        (
            "jbd2_journal_destroy ext4_put_super generic_shutdown_super kill_block_super"
            " deactivate_locked_super cleanup_mnt delayed_mntput process_one_work worker_thread"
        ),
        "kworker/0:1+events",
        Stand("shutdown", "journal", "ext4", worker=True),
    ),
    (
        (
            "rpc_wait_bit_killable __rpc_execute rpc_run_task nfs4_call_sync_sequence"
            f" nfs_kill_super {_SHUTDOWN}"
        ),
        "umount.nfs",
        Stand("shutdown", "nfs", "nfs"),
    ),
    (
        f"synchronize_rcu_expedited namespace_unlock path_umount __x64_sys_umount {_END}",
        "umount",
        Stand("rcu", "grace-period"),
    ),
    (
        (
            "synchronize_rcu_expedited_wait_once synchronize_rcu_expedited namespace_unlock"
            " put_mnt_ns free_nsproxy do_exit"
        ),
        "runc",
        Stand("rcu", "grace-period"),
    ),
    (
        f"rwsem_down_write_slowpath down_write path_umount __x64_sys_umount {_END}",
        "umount",
        Stand("lock", "namespace-lock"),
    ),
    (
        f"rwsem_down_write_slowpath copy_mnt_ns create_new_namespaces {_END}",
        "runc",
        Stand("lock", "namespace-lock"),
    ),
    (
        f"rwsem_down_read_slowpath down_read m_start seq_read_iter vfs_read {_END}",
        "systemd",
        Stand("lock", "namespace-lock"),
    ),
    (
        (
            "schedule rt_mutex_slowlock_block.constprop rwbase_write_lock down_write put_mnt_ns"
            " free_nsproxy do_exit"
        ),
        "sh",
        Stand("lock", "namespace-lock"),
    ),
    (
        f"super_lock __iterate_supers ksys_sync {_END}",
        "sync",
        Stand("superblock", "superblock-lock"),
    ),
    ("percpu_rwsem_wait mnt_want_write open_last_lookups path_openat", "cp", None),
    (f"rwsem_down_write_slowpath do_truncate do_open path_openat {_END}", "sh", None),
    ("do_wait kernel_wait4", "sh", None),
    ("", "umount", None),
]


@pytest.mark.parametrize(("text", "comm", "expected"), _STACKS)
def test_a_stack_shows_phase_and_wait(text, comm, expected):
    assert stand(text.split(), comm) == expected


def test_a_call_without_a_stack_is_an_umount():
    assert stand([], "umount", in_call=True) == Stand("other", None)


def test_names_have_no_offsets_and_no_suffixes_of_the_compiler():
    text = "[<0>] lo_rw_aio.isra.0+0x33c/0x350\n[<0>] nfs_wait+0x1/0x2 [nfs]\nnonsense\n"
    assert frames(text) == ["lo_rw_aio", "nfs_wait"]


def test_the_lock_is_held_in_the_tree_and_not_after_its_release():
    assert holding_function(_of("propagate_umount umount_tree path_umount"))
    assert holding_function(_of("copy_tree copy_mnt_ns create_new_namespaces"))
    assert not holding_function(_of("synchronize_rcu_expedited namespace_unlock copy_mnt_ns"))
    assert not holding_function(["do_wait", "kernel_wait4"])


def test_the_system_call_of_a_stack():
    assert system_call(_of("clone_mnt copy_tree do_loopback __x64_sys_mount")) == "mount"
    assert system_call(_of("copy_mnt_ns ksys_unshare __arm64_sys_unshare")) == "unshare"
    assert system_call(_of("clone_mnt kthread")) is None
