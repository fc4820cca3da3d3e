"""What a kernel stack shows of a task inside an umount: its phase, and what it waits for.

Pure functions of function names, innermost first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from umtrace.holders.walks import UNMOUNTERS

#: phases; the names of docs/glossary.md, and two for tasks that only wait behind an umount
LOOKUP, LOCK, TREE, RCU, SHUTDOWN, OTHER = "lookup", "lock", "tree", "rcu", "shutdown", "other"
SUPERBLOCK = "superblock"


class Stand(NamedTuple):
    """Where a task is.

    ``wait`` is what it waits for: namespace-lock, grace-period, fuse, nfs, cifs, ceph, 9p,
    automount, superblock-lock, frozen, journal, writeback, device; None is not known.
    ``fstype`` is the file system that is shut down, as far as a function's name shows it.
    ``worker`` is whether it is the kernel's worker for last references (delayed_mntput).
    ``holds`` is whether it is where the namespace lock is held.
    """

    phase: str
    wait: str | None
    fstype: str | None = None
    worker: bool = False
    holds: bool = False


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FRAME = re.compile(r"^\[<[^>]*>\] ([\w$]+)")
_UMOUNT = re.compile(r"^(?:(?:do|path|ksys)_umount|(?:__\w+?_)?sys_(?:old)?umount)$")
_SLOW = re.compile(
    r"^(?:rwsem_down_\w+|(?:__)?down_(?:write|read)\w*|(?:__)?rwbase_\w+|(?:__)?rt_mutex_\w+"
    r"|rwsem_\w*slow\w*|schedule\w*|__schedule|rt_mutex_schedule|rtlock_\w+)$"
)
_CALL = re.compile(r"^__\w+?_sys_(?:old)?(\w+)$")
_RCU = re.compile(
    r"^(?:synchronize_\w*rcu\w*|__wait_rcu_gp|wait_rcu_gp|exp_funnel_lock|rcu_barrier)"
)
_FILESYSTEM = re.compile(r"^(\w+?)_(?:kill_sb\w*|kill_super|put_super)$")
_NAMES = {"ovl": "overlay", "generic": None, "kill": None, "shmem": "tmpfs"}
#: callers of namespace_lock(), and readers of the mount tree; the compiler inlines what is between
_TAKERS = _named(
    """
    path_umount do_umount ksys_umount namespace_lock lock_mount do_lock_mount lock_mount_exact
    __do_lock_mount graft_tree put_mnt_ns copy_mnt_ns path_pivot_root do_move_mount do_add_mount
    do_new_mount do_new_mount_fc do_loopback do_change_type collect_mounts collect_paths
    drop_collected_mounts mark_mounts_for_expiry mnt_set_expiry finish_automount __detach_mounts
    dissolve_on_fput open_detached_copy get_detached_copy open_new_namespace vfs_open_tree
    do_mount_setattr mount_setattr_prepare m_start mnt_already_visible mount_too_revealing
    do_statmount do_listmount attach_recursive_mnt vfs_move_mount umount_mnt listmnt_next
    grab_requested_root statmount_mnt_get iterate_mounts
    """
)
_TAKER = re.compile(
    r"^__\w+_sys_(?:pivot_root|move_mount|open_tree|mount_setattr|statmount|listmount|umount)$"
)
#: those of them that sleep for nothing else. Where the functions of the scheduler are left out of a
#: stack, which is where locks sleep, too, the innermost function is the one that takes the lock.
_ONLY_TAKERS = _named(
    """
    path_umount do_umount ksys_umount namespace_lock put_mnt_ns copy_mnt_ns m_start
    collect_mounts collect_paths drop_collected_mounts mark_mounts_for_expiry mnt_set_expiry
    __detach_mounts dissolve_on_fput mnt_already_visible do_statmount do_listmount
    """
)
#: where the lock is held, and what runs there
_HOLDING = _named(
    """
    umount_tree propagate_umount propagate_mnt propagate_one propagate_mount_busy copy_tree
    clone_mnt attach_recursive_mnt commit_tree copy_mnt_ns mnt_set_mountpoint count_mounts
    collect_mounts collect_paths show_mountinfo m_show show_vfsmnt __propagate_umount
    __detach_mounts change_mnt_propagation do_move_mount do_add_mount graft_tree
    """
)
_TEARDOWN = _named(
    """
    namespace_unlock put_mnt_ns umount_tree __detach_mounts drop_collected_mounts
    dissolve_on_fput mark_mounts_for_expiry
    """
)
_SHUTDOWN = _named(
    """
    cleanup_mnt __cleanup_mnt delayed_mntput deactivate_super deactivate_locked_super
    generic_shutdown_super
    """
)
#: take the lock of a superblock: a shutdown holds it, and so do sync, freeze and remount
_SUPER_TAKERS = _named(
    """
    super_lock __super_lock super_lock_excl super_lock_shared grab_super __iterate_supers
    iterate_supers iterate_supers_type user_get_super get_super deactivate_super freeze_super
    thaw_super sget_fc sget
    """
)
_SUPER_WAITS = _named(
    """
    super_lock __super_lock super_lock_excl super_lock_shared
    """
)
_BY_PREFIX = (
    ("fuse", ("fuse_", "request_wait_answer", "virtio_fs_")),
    ("nfs", ("nfs_", "nfs4_", "nfs3_", "rpc_")),
    ("cifs", ("cifs_", "smb2_", "SMB2_", "smb_")),
    ("ceph", ("ceph_",)),
    ("9p", ("p9_", "v9fs_")),
    ("automount", ("autofs_", "autofs4_")),
    ("frozen", ("percpu_rwsem_wait", "__percpu_down_read", "sb_wait_write", "__sb_start_write")),
    ("journal", ("jbd2_", "xfs_log_", "xfs_ail_", "__xfs_log_")),
    ("writeback", ("sync_inodes_sb", "wb_wait_", "folio_wait_writeback", "sync_filesystem")),
    ("writeback", ("wait_on_page_writeback", "__filemap_fdatawait", "writeback_inodes")),
    ("device", ("submit_bio_wait", "blk_", "sync_blockdev", "bdev_", "blkdev_", "io_schedule")),
    ("device", ("wait_on_buffer", "__wait_on_buffer", "folio_wait_bit", "bit_wait_io")),
)
_NETWORK = frozenset({"fuse", "nfs", "cifs", "ceph", "9p"})
_NOT_DEVICE = frozenset(wait for wait, _ in _BY_PREFIX) - {"device"}
_IN_LOOKUP = _named(
    """
    filename_lookup path_lookupat path_openat user_path_at user_path_at_empty link_path_walk
    walk_component vfs_statx
    """
)
SERVER = "fuse_dev_do_read"


def frames(text: str) -> list[str]:
    """Return the function names of a text of /proc/PID/stack, without the compiler's suffixes."""
    return [found[1] for line in text.splitlines() if (found := _FRAME.match(line))]


def stand(names: Sequence[str], comm: str = "", *, in_call: bool = False) -> Stand | None:
    """Return where a task is in an umount; None if it is in none and waits behind none.

    ``in_call`` is whether its system call is umount(2), where the stack does not show it.
    """
    there = set(names)
    wait = _wait(names)
    if wait == "namespace-lock":
        return Stand(LOCK, wait)
    if there & _SHUTDOWN:
        return Stand(SHUTDOWN, wait, _filesystem(names), worker="delayed_mntput" in there)
    if there & _TEARDOWN and wait == "grace-period":
        return Stand(RCU, wait)
    if there & {"umount_tree", "propagate_umount", "__propagate_umount"}:
        return Stand(TREE, wait, holds=True)
    if in_call or any(map(_UMOUNT.match, names)):
        return Stand(LOOKUP if there & _IN_LOOKUP else OTHER, wait)
    if there & _IN_LOOKUP and UNMOUNTERS.match(comm):
        return Stand(LOOKUP, wait)
    if wait == "superblock-lock":
        return Stand(SUPERBLOCK, wait)
    return Stand(OTHER, wait) if there & _TEARDOWN else None


def holding_function(names: Sequence[str]) -> str | None:
    """Return the function in which a task holds the namespace lock; it does not wait for it."""
    if "namespace_unlock" in names:
        return None
    return next((name for name in names if name in _HOLDING), None)


def system_call(names: Sequence[str]) -> str | None:
    """Return the name of the system call that a stack is in; None if it is in none."""
    return next((found[1] for name in names if (found := _CALL.match(name))), None)


def _wait(names: Sequence[str]) -> str | None:
    if names and names[0] in _ONLY_TAKERS:
        return "namespace-lock"
    for at, name in enumerate(names):
        if name in _SUPER_WAITS:
            return "superblock-lock"
        if _SLOW.match(name):
            caller = next((n for n in names[at:] if not _SLOW.match(n)), "")
            if caller in _TAKERS or _TAKER.match(caller):
                return "namespace-lock"
            if caller in _SUPER_TAKERS:
                return "superblock-lock"
        if _RCU.match(name):
            return "grace-period"
        for wait, prefixes in _BY_PREFIX:
            if name.startswith(prefixes):
                return _refined(wait, names)
    return None


def _refined(wait: str, names: Sequence[str]) -> str:
    """Return what a wait for pages is for: the journal and the network sleep on pages, too."""
    outside = {"device": _NOT_DEVICE, "writeback": _NETWORK}.get(wait, frozenset())
    for name in names:
        for outer, prefixes in _BY_PREFIX:
            if outer in outside and name.startswith(prefixes):
                return outer
    return wait


def _filesystem(names: Sequence[str]) -> str | None:
    for name in names:
        if found := _FILESYSTEM.match(name):
            known = _NAMES.get(found[1], found[1])
            if known is not None:
                return "fuseblk" if name == "fuse_kill_sb_blk" else known
    return None
