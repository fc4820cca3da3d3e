"""The purposes of the probes: the functions that can serve each, and why.

Data for ``umtrace.probes.plan``. The candidates of a purpose come in order of preference; a
candidate is listed only if a handler for it exists (bpf/, one per function).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A function that can serve a purpose.

    Attributes
    ----------
    entry, on_return : bool
        Which sides are probed.
    kprobe_entry : bool
        With a kretprobe, which does not see the arguments, the entry is probed, too, to store one.
    needs_arguments : bool
        The handler reads arguments, so no symbol ending in .isra or .constprop can be used.
    kprobe_only : bool
        Only for BPF on a kprobe: its handler leaves out hits that other tiers would not.
    lost : str
        What the first candidate shows and this one does not.
    """

    function: str
    entry: bool = True
    on_return: bool = True
    kprobe_entry: bool = False
    needs_arguments: bool = True
    kprobe_only: bool = False
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A purpose of probes, ``why`` it has these functions, and what is ``lost`` without it."""

    name: str
    candidates: tuple[Candidate, ...]
    why: str
    lost: str = ""
    required: bool = False
    hot: bool = False  #: path walks call it, or what every program does
    not_light: str = ""  #: ``--probes light`` leaves it out: what rows then lack
    only_light: bool = False  #: only ``--probes light`` has it
    paid_by: str = ""  #: who calls it often, if it is not path walks
    skippable: bool = False  #: may lose hits, so it is fentry even where that can be preempted
    needs_layout: bool = False  #: cannot be used without struct offsets from BTF

    @property
    def function(self) -> str:
        """Name to show if nothing is probed: the first function that any tier can probe."""
        return next(c.function for c in self.candidates if not c.kprobe_only)


SHARED_GP = Purpose(
    name="shared grace period",
    candidates=(Candidate(function="exp_funnel_lock", entry=False, needs_arguments=False),),
    why="returns whether the task joined the grace period of another task (piggybacked)",
    lost="rcu_kind piggybacked, which is then reported as expedited",
    not_light="rcu_kind, unless it is normal",
)

NORMAL_GP = Purpose(
    name="normal grace period",
    candidates=(
        # Of the lab kernels, those since 6.12 have this function; the older ones the next one only.
        Candidate(function="synchronize_rcu_normal", on_return=False, needs_arguments=False),
        Candidate(function="__wait_rcu_gp", on_return=False, needs_arguments=False),
    ),
    why="shows that a grace period is not expedited (rcu_normal), without a stack walk",
    lost="nothing; the stack of every sleep in the RCU wait is walked instead",
)

LOCK_WAIT = Purpose(
    name="lock wait",
    candidates=(Candidate(function="rwsem_down_write_slowpath", on_return=False),),
    why="who takes a lock that is taken comes here, and the owner of namespace_sem is its holder",
    lost="lock_holder_* of the moment the wait begins (read as path_umount is entered)",
    not_light="lock_holder_tid, lock_holder_comm, lock_holder_op",
)

PROPAGATION = Purpose(
    name="propagation",
    candidates=(Candidate(function="propagate_umount", entry=False, kprobe_entry=True),),
    why=(
        "at its return, all mounts that umount_tree takes down are in one list and still have "
        "their namespaces"
    ),
    lost="n_mntns, mntns_top",
    not_light="n_mntns, mntns_top",
    needs_layout=True,
)

#: if it is lost, the tracepoints syscalls:sys_enter_umount and sys_exit_umount replace it
SYSTEM_CALL = Purpose(
    name="system call",
    candidates=(
        Candidate(function="__x64_sys_umount"),
        Candidate(function="__arm64_sys_umount"),
    ),
    why=(
        "its tracepoints would put every system call of the host on the slow path; since 7.0 "
        "the kernel also skips other probes while one of them is preempted"
    ),
    lost="nothing; the tracepoints used instead slow down every system call of the host",
)

SYSTEM_CALL_32 = Purpose(
    name="32-bit system call",
    candidates=(Candidate(function="__ia32_sys_umount"),),
    why="32-bit programs call it, and no tracepoint reports their calls",
    lost="path and lookup_ns of 32-bit (compat) umount calls",
)

FINAL_PUT = Purpose(
    name="final put",
    candidates=(Candidate(function="cleanup_mnt"),),
    why=(
        "one event per dying mount, in the task that dropped the last reference; its return "
        "is the end of the shutdown. The alternatives show neither: every put calls "
        "mntput_no_expire, and every put of an unmounted mount mntput_no_expire_slowpath "
        "(6.19 and later)"
    ),
    lost="final_put, tail_ns, the end of the shutdown",
    not_light="final_put, final_put_comm, tail_ns",
)

PUT = Purpose(
    name="walker's put",
    candidates=(
        # Not called with NULL, while every path walk calls mntput with it; inlined since 6.19.
        Candidate(function="mntput_no_expire", on_return=False, kprobe_only=True),
        Candidate(function="mntput", on_return=False),
    ),
    why="path walks and holders drop references here; those of the umount are excluded",
    lost="the puts of path walks",
    not_light="the puts of path walks",
    hot=True,
    needs_layout=True,
)
#: what mntput calls where fs/namespace.c has mntput itself inlined
PUT_CALLS = ("mntput_no_expire", "mntput_no_expire_slowpath")

DETACHED_PUT = Purpose(
    name="put of a new mount",
    candidates=(Candidate(function="dissolve_on_fput", on_return=False),),
    why="the last close of a descriptor of open_tree or fsmount may put the mount here",
    lost="who held a mount by such a descriptor",
    not_light="who held a mount by such a descriptor",
    hot=True,
    needs_layout=True,
)

TASK_WORK = Purpose(
    name="end of task work",
    candidates=(Candidate(function="task_work_run", entry=False, needs_arguments=False),),
    why="cleans up the mounts, so its return is an upper bound of the shutdown's end",
    lost="the end of the shutdown",
    required=True,
    only_light=True,
    paid_by="each close of a file until 6.1",
)

_BY_OBJECT = "which files and working directories took their reference since an EBUSY"


def _of_object(name: str, function: str, why: str, paid_by: str) -> Purpose:
    """Return a purpose that serves to tell the puts of holders from those of later files."""
    return Purpose(
        name=name,
        candidates=(Candidate(function=function, on_return=False),),
        why=why,
        lost=_BY_OBJECT,
        not_light=_BY_OBJECT,
        hot=True,
        needs_layout=True,
        paid_by=paid_by,
    )


#: in the order of attaching: what is noted matters only where what makes it void is seen
_OBJECTS: tuple[Purpose, ...] = (
    _of_object(
        "moved root",
        "chroot_fs_refs",
        "pivot_root moves working directories by it",
        "each pivot_root",
    ),
    _of_object(
        "file's end",
        "__fput",
        "the last close of a file puts its reference to the mount",
        "each last close",
    ),
    _of_object("new file", "do_dentry_open", "an open file takes its reference here", "each open"),
    _of_object(
        "end of a task", "exit_fs", "puts the reference of a working directory", "each exit"
    ),
    _of_object("end of directories", "free_fs_struct", "the same for unshare(2)", "each unshare"),
    _of_object(
        "new directory", "set_fs_pwd", "chdir(2) takes and puts references by it", "each chdir"
    ),
)

PURPOSES: tuple[Purpose, ...] = (
    SYSTEM_CALL,
    SYSTEM_CALL_32,
    Purpose(
        name="umount(2)",
        candidates=(Candidate(function="path_umount"),),
        why="every umount system call calls it; do_umount is inlined into it on all kernels",
        lost="the start and the end of an umount",
        required=True,
        not_light=(
            "mountpoint, source, lookup_ns, lock_ns, tree_ns, put_ns, and the calls of "
            "oldumount(2) that fail"
        ),
    ),
    LOCK_WAIT,
    Purpose(
        name="tree",
        candidates=(Candidate(function="umount_tree", on_return=False),),
        why="its callers are not inlined: one stack frame shows the origin",
        lost="origin, tree_ns, and every operation that is not umount(2)",
        required=True,
    ),
    PROPAGATION,
    Purpose(
        name="unlock",
        candidates=(Candidate(function="namespace_unlock", needs_arguments=False),),
        why="releases namespace_sem, waits for the grace period, drops the mounts",
        lost="n_mounts, put_ns, and the operation that an RCU wait belongs to",
        required=True,
    ),
    Purpose(
        name="RCU wait",
        candidates=(Candidate(function="synchronize_rcu_expedited", needs_arguments=False),),
        why="counted only inside namespace_unlock: it has some 20 other callers",
        lost="rcu_ns",
        required=True,
    ),
    SHARED_GP,
    NORMAL_GP,
    Purpose(
        name="busy check",
        candidates=(Candidate(function="propagate_mount_busy"),),
        why="decides on EBUSY",
        lost="lock_ns of an EBUSY, and the copy that was busy",
        not_light="the copy that was busy",
    ),
    Purpose(
        name="reference count",
        candidates=(Candidate(function="mnt_get_count", entry=False, kprobe_entry=True),),
        why="its return value is the exact count; only slow paths call it",
        lost="refcount",
        not_light="refcount",
    ),
    FINAL_PUT,
    TASK_WORK,
    Purpose(
        name="device claim",
        candidates=(Candidate(function="bd_prepare_to_claim", entry=False, kprobe_entry=True),),
        why="O_EXCL, mkfs and mount claim a block device here; EBUSY is emitted, and success soon "
        "after an umount of the device",
        lost="downstream windows, claims of whatif",
        needs_layout=True,
    ),
    Purpose(
        name="refused mount",
        candidates=(Candidate(function="vfs_get_tree", entry=False, needs_arguments=False),),
        why="mount(2) and fsconfig(2) call it; only EBUSY of a superblock in use is emitted",
        lost="downstream windows of mounts",
        not_light="downstream windows of mounts",
        needs_layout=True,
    ),
    Purpose(
        name="superblock in use",
        candidates=(Candidate(function="deactivate_locked_super", on_return=False),),
        why="a refused mount drops its superblock here, which shows the device",
        lost="downstream windows of mounts",
        not_light="downstream windows of mounts",
        needs_layout=True,
    ),
    Purpose(
        name="walker",
        candidates=(Candidate(function="__legitimize_mnt", entry=False, kprobe_entry=True),),
        why="legitimize_mnt calls it, and is inlined since 6.1",
        lost="n_legitimized, n_discounted",
        not_light="n_legitimized, n_discounted",
        hot=True,
        skippable=True,
        needs_layout=True,
    ),
    PUT,
    DETACHED_PUT,
    *_OBJECTS,
)

#: well-known functions, and their substitutes if the compiler inlined them
SUBSTITUTES: tuple[tuple[str, str], ...] = (
    ("do_umount", "path_umount, its only caller"),
    ("ksys_umount", "path_umount; the path walk is the time before it"),
    ("namespace_lock", "the time from path_umount to the first call under the lock"),
    ("legitimize_mnt", "__legitimize_mnt, which it calls"),
    ("mntput_no_expire", "cleanup_mnt: only the last put counts"),
    ("exp_funnel_lock", "none: a shared grace period is reported as expedited"),
)
