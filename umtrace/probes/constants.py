"""What the probe programs need to know about this kernel, as -D constants.

Each struct difference cites the commit that made it. Code that needs a missing constant is compiled
out, and the plan then says what is lost.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from umtrace.kernel.btf import Btf

_RT_OWNER = "rw_semaphore.rwbase.rtmutex.owner"

#: constant -> the members that can have it, newest first
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "UM_OFF_TASK_PID": ("task_struct.pid",),
    # Renamed in 5.14, 2f064a59a11f ("sched: Change task_struct::state")
    "UM_OFF_TASK_STATE": ("task_struct.__state", "task_struct.state"),
    "UM_OFF_TASK_FLAGS": ("task_struct.flags",),
    "UM_OFF_TASK_WORKS": ("task_struct.task_works",),
    "UM_OFF_TASK_SWITCHES": ("task_struct.nvcsw",),
    "UM_OFF_TASK_NSPROXY": ("task_struct.nsproxy",),
    "UM_OFF_NSPROXY_MNT_NS": ("nsproxy.mnt_ns",),
    "UM_OFF_TASK_COMM": ("task_struct.comm",),
    "UM_OFF_RCU_EXPEDITED": ("rcu_state.expedited_sequence",),
    "UM_OFF_RCU_NORMAL": ("rcu_state.gp_seq",),
    # On PREEMPT_RT a semaphore is made of an rtmutex since 5.15, 42254105dfe8
    # ("locking/rwsem: Add rtmutex based R/W semaphore implementation")
    "UM_OFF_SEM_OWNER": ("rw_semaphore.owner", _RT_OWNER),
    "UM_OFF_MNT_NS_INUM": ("mnt_namespace.ns.inum",),
    # Renamed when the mounts of a namespace went into a tree, in 6.8,
    # 2eea9ce4310d ("mounts: keep list of mounts in an rbtree")
    "UM_OFF_MNT_NS_MOUNTS": ("mnt_namespace.nr_mounts", "mnt_namespace.mounts"),
}

#: identity of a mount: all of them, or none is used
IDENTITY: Mapping[str, str] = {
    "UM_OFF_MOUNT_MNT": "mount.mnt",
    "UM_OFF_MOUNT_NS": "mount.mnt_ns",
    "UM_OFF_MOUNT_ID": "mount.mnt_id",
    "UM_OFF_MOUNT_DEVNAME": "mount.mnt_devname",
    "UM_OFF_VFSMOUNT_SB": "vfsmount.mnt_sb",
    "UM_OFF_VFSMOUNT_FLAGS": "vfsmount.mnt_flags",
    "UM_OFF_SB_DEV": "super_block.s_dev",
    "UM_OFF_SB_TYPE": "super_block.s_type",
    "UM_OFF_SB_ACTIVE": "super_block.s_active",
    "UM_OFF_FSTYPE_NAME": "file_system_type.name",
    "UM_OFF_PATH_MNT": "path.mnt",
}

#: where a mount is attached: all of them, or the mountpoint stays unknown
PLACE: Mapping[str, str] = {
    "UM_OFF_MOUNT_PARENT": "mount.mnt_parent",
    "UM_OFF_MOUNT_MOUNTPOINT": "mount.mnt_mountpoint",
    "UM_OFF_VFSMOUNT_ROOT": "vfsmount.mnt_root",
    "UM_OFF_DENTRY_PARENT": "dentry.d_parent",
    "UM_OFF_DENTRY_NAME": "dentry.d_name.name",
}

_UNIQUE_ID = "mount.mnt_id_unique"
_IN_IOWAIT = "task_struct.in_iowait"  # a bit-field
_WORK = "mount.mnt_rcu"  #: the task work that mntput() adds

KNOWN_MEMBERS: frozenset[str] = frozenset(
    path
    for paths in (
        *MEMBERS.values(),
        IDENTITY.values(),
        PLACE.values(),
        (_UNIQUE_ID, _WORK, _IN_IOWAIT),
    )
    for path in paths
)

#: more about a busy mount; a group is used if all of it is known
EBUSY_GROUPS: tuple[Mapping[str, tuple[str, ...]], ...] = (
    {
        "UM_OFF_MOUNT_PCP": ("mount.mnt_pcp",),
        # Two counters, of which the difference is the count, first seen in 7.3
        "UM_OFF_PCP_GETS": ("mnt_pcp.mnt_gets", "mnt_pcp.mnt_count"),
    },
    {
        "UM_OFF_SB_MOUNTS": ("super_block.s_mounts",),
        # A list_head until 6.17; since then a chain of struct mount
        "UM_OFF_MOUNT_INSTANCE": ("mount.mnt_instance",),
    },
    {
        "UM_OFF_SB_MOUNTS": ("super_block.s_mounts",),
        "UM_OFF_MOUNT_NEXT_FOR_SB": ("mount.mnt_next_for_sb",),
    },
    {"UM_OFF_PCP_PUTS": ("mnt_pcp.mnt_puts",)},
    {"UM_OFF_MOUNT_UMOUNT": ("mount.mnt_umount",)},
    {"UM_OFF_MOUNT_LIST": ("mount.mnt_list",)},
    # The registers of a system call, and whether it is a 32-bit one (x86)
    {
        "UM_OFF_TASK_STACK": ("task_struct.stack",),
        "UM_OFF_TASK_STATUS": ("task_struct.thread_info.status",),
    },
    # Who forked a task, and whether it has called execve since
    {
        "UM_OFF_TASK_PARENT": ("task_struct.real_parent",),
        "UM_OFF_TASK_TGID": ("task_struct.tgid",),
        "UM_OFF_TASK_EXECS": ("task_struct.self_exec_id",),
        "UM_OFF_TASK_EXECS_BEFORE": ("task_struct.parent_exec_id",),
    },
    # The mount of an open file and of a working directory
    {
        "UM_OFF_FILE_MNT": ("file.f_path.mnt",),
        "UM_OFF_FS_PWD_MNT": ("fs_struct.pwd.mnt",),
        "UM_OFF_FS_USERS": ("fs_struct.users",),
        "UM_OFF_TASK_FS": ("task_struct.fs",),
    },
    # What a task has open
    {
        "UM_OFF_TASK_FILES": ("task_struct.files",),
        "UM_OFF_TASK_LEADER": ("task_struct.group_leader",),
        "UM_OFF_TASK_MM": ("task_struct.mm",),
        "UM_OFF_FILES_TABLE": ("files_struct.fdt",),
        "UM_OFF_TABLE_MAX": ("fdtable.max_fds",),
        "UM_OFF_TABLE_FD": ("fdtable.fd",),
        "UM_OFF_TABLE_OPEN": ("fdtable.open_fds",),
        "UM_OFF_FS_ROOT_MNT": ("fs_struct.root.mnt",),
        "UM_OFF_MM_EXE": ("mm_struct.exe_file",),
    },
)

TASK_DEAD = 0x80  # include/linux/sched.h, the same from 5.10 to 7.3
HOST_MNTNS = Path("/proc/1/ns/mnt")


def layout_constants(btf: Btf | None) -> dict[str, int]:
    """Return the struct offsets; none without BTF."""
    if btf is None:
        return {"UM_OFF_MNT_NS_INUM": 0}
    found = {name: btf.first_offset(*paths) for name, paths in MEMBERS.items()}
    known = {name: offset for name, offset in found.items() if offset is not None}
    known.setdefault("UM_OFF_MNT_NS_INUM", 0)
    if btf.offset(_RT_OWNER) is not None:
        known["UM_SEM_IS_RT"] = 1
    waits_for_io = btf.bit_offset(_IN_IOWAIT)
    if waits_for_io is not None and sys.byteorder == "little":  # big-endian: counted from above
        known["UM_BIT_TASK_IN_IOWAIT"] = waits_for_io
    return known | _identity_constants(btf)


def switch_constants(fields: Mapping[str, int]) -> dict[str, int]:
    """Return the offsets of the fields of ``sched:sched_switch``, for a kernel without BTF.

    Parameters
    ----------
    fields : mapping
        Field to its offset, from the format of the event.
    """
    names = ("prev_pid", "prev_state", "next_pid")
    return {f"UM_AT_{name.upper()}": fields[name] for name in names}


def _identity_constants(btf: Btf) -> dict[str, int]:
    found = {name: btf.offset(path) for name, path in IDENTITY.items()}
    known = {name: offset for name, offset in found.items() if offset is not None}
    if len(known) < len(found):
        return {}
    # Unique until reboot, since 6.8, 98d2b43081972 ("add unique mount ID")
    unique, work = btf.offset(_UNIQUE_ID), btf.offset(_WORK)
    known |= _place_constants(btf)
    if unique is not None:
        known["UM_OFF_MOUNT_ID_UNIQUE"] = unique
    if work is not None:
        known["UM_OFF_MOUNT_RCU"] = work
    return known | _ebusy_constants(btf)


def _ebusy_constants(btf: Btf) -> dict[str, int]:
    known: dict[str, int] = {}
    for group in EBUSY_GROUPS:
        found = {name: btf.first_offset(*paths) for name, paths in group.items()}
        offsets = {name: offset for name, offset in found.items() if offset is not None}
        if len(offsets) == len(group):
            known |= offsets
    device = btf.offset("block_device.bd_dev")
    arguments = btf.function_arguments("bd_prepare_to_claim")
    if device is not None and arguments is not None:
        # Between 5.10 and 6.12 its middle argument was removed, and another one added
        known |= {"UM_OFF_BDEV_DEV": device, "UM_CLAIM_ARGS": arguments}
    return known


def possible_cpus(path: Path = Path("/sys/devices/system/cpu/possible")) -> int:
    """Return how many CPU numbers there are; 0 if that cannot be read."""
    try:
        return int(path.read_text().strip().replace(",", "-").split("-")[-1]) + 1
    except (OSError, ValueError):
        return 0


def _place_constants(btf: Btf) -> dict[str, int]:
    found = {name: btf.offset(path) for name, path in PLACE.items()}
    known = {name: offset for name, offset in found.items() if offset is not None}
    return known if len(known) == len(found) else {}


def host_mntns() -> int:
    """Return the inode number of the host's mount namespace, 0 if it cannot be read.

    Only the link itself is read, since opening it would pin the namespace.
    """
    try:
        return HOST_MNTNS.stat().st_ino
    except OSError:
        return 0
