"""What the probes are for: each meaning, the functions that can carry it, and why.

Data for ``umtrace.kernel.plan``. A meaning's candidates come in order of preference; a
candidate is listed only if a handler for it exists (bpf/, one per function).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A function that can carry a meaning.

    Attributes
    ----------
    entry, on_return : bool
        Which sides are probed.
    kprobe_entry : bool
        A kretprobe does not see the arguments: its entry is probed too, to keep one.
    needs_arguments : bool
        The handler reads arguments, which a symbol ending in .isra or .constprop changed.
    kprobe_only : bool
        For BPF on a kprobe alone: its handler leaves out what other tiers would not.
    lost : str
        What this candidate does not show that the first one does.
    """

    function: str
    entry: bool = True
    on_return: bool = True
    kprobe_entry: bool = False
    needs_arguments: bool = True
    kprobe_only: bool = False
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One thing to know, ``why`` it is probed so, and what is ``lost`` without it."""

    name: str
    candidates: tuple[Candidate, ...]
    why: str
    lost: str = ""
    required: bool = False
    hot: bool = False  #: a path walk pays for it: left out of ``--probes light``
    skippable: bool = False  #: cheap before sure: no kprobe where fentry programs can be preempted
    needs_layout: bool = False  #: of no use without struct offsets from BTF

    @property
    def function(self) -> str:
        """Name to call it by where nothing is probed: the first that any tier can probe."""
        return next(c.function for c in self.candidates if not c.kprobe_only)


SHARED_GP = Meaning(
    name="shared grace period",
    candidates=(Candidate(function="exp_funnel_lock", entry=False, needs_arguments=False),),
    why="returns whether somebody else's grace period was late enough: piggybacked",
    lost="rcu_kind piggybacked: asleep in another's grace period reads as expedited",
)

NORMAL_GP = Meaning(
    name="normal grace period",
    candidates=(
        # Its own function since 6.12, as far as the lab kernels tell; before, this alone.
        Candidate(function="synchronize_rcu_normal", on_return=False, needs_arguments=False),
        Candidate(function="__wait_rcu_gp", on_return=False, needs_arguments=False),
    ),
    why="called inside an RCU wait where rcu_normal is set: no stack needs to be walked there",
    lost="nothing; the stack of every sleep in the RCU wait is walked to know which it is",
)

#: where it is lost, the tracepoints syscalls:sys_enter_umount and sys_exit_umount do
SYSTEM_CALL = Meaning(
    name="system call",
    candidates=(
        Candidate(function="__x64_sys_umount"),
        Candidate(function="__arm64_sys_umount"),
    ),
    why=(
        "its tracepoints would put every system call of the host on the slow path, and since "
        "7.0 cost other probes their hits when they are preempted"
    ),
    lost="nothing of a umount; every system call of the host pays for tracepoints",
)

SYSTEM_CALL_32 = Meaning(
    name="32-bit system call",
    candidates=(Candidate(function="__ia32_sys_umount"),),
    why="of 32-bit programs, which no tracepoint sees",
    lost="path and lookup_ns of what 32-bit programs unmount",
)

FINAL_PUT = Meaning(
    name="final put",
    candidates=(Candidate(function="cleanup_mnt"),),
    why=(
        "one event per dying mount, by the task that dropped the last reference, and its "
        "return is the end of the shutdown. Its alternatives see neither: mntput_no_expire "
        "is hit by every put, mntput_no_expire_slowpath (6.19 and later) by every put of "
        "an unmounted mount"
    ),
    lost="final_put, tail_ns, the end of the shutdown",
)

MEANINGS: tuple[Meaning, ...] = (
    SYSTEM_CALL,
    SYSTEM_CALL_32,
    Meaning(
        name="umount(2)",
        candidates=(Candidate(function="path_umount"),),
        why="every umount system call ends here; do_umount is inlined in it everywhere",
        lost="the begin and end of an umount",
        required=True,
    ),
    Meaning(
        name="tree",
        candidates=(Candidate(function="umount_tree", on_return=False),),
        why="its callers are real calls: one stack frame names the origin",
        lost="origin, tree_ns, what is no umount(2)",
        required=True,
    ),
    Meaning(
        name="unlock",
        candidates=(Candidate(function="namespace_unlock", needs_arguments=False),),
        why="frees namespace_sem, waits for RCU, puts the mounts",
        lost="n_mounts, put_ns, and whose the RCU wait is",
        required=True,
    ),
    Meaning(
        name="RCU wait",
        candidates=(Candidate(function="synchronize_rcu_expedited", needs_arguments=False),),
        why="counted only inside namespace_unlock: it has some 20 other callers",
        lost="rcu_ns",
        required=True,
    ),
    SHARED_GP,
    NORMAL_GP,
    Meaning(
        name="busy check",
        candidates=(Candidate(function="propagate_mount_busy"),),
        why="decides EBUSY",
        lost="lock_ns of EBUSY, and which copy was busy",
    ),
    Meaning(
        name="reference count",
        candidates=(Candidate(function="mnt_get_count", entry=False, kprobe_entry=True),),
        why="its return value is the exact count; only slow paths call it",
        lost="refcount",
    ),
    FINAL_PUT,
    Meaning(
        name="living superblock",
        candidates=(Candidate(function="deactivate_super", on_return=False),),
        why="says which mount namespaces still mount what an umount left alive",
        lost="namespaces of shared-sb",
        needs_layout=True,
    ),
    Meaning(
        name="device claim",
        candidates=(Candidate(function="bd_prepare_to_claim", entry=False, kprobe_entry=True),),
        why="O_EXCL, mkfs and mount claim a block device here; only EBUSY is sent",
        lost="downstream windows",
        needs_layout=True,
    ),
    Meaning(
        name="refused mount",
        candidates=(Candidate(function="vfs_get_tree", entry=False, needs_arguments=False),),
        why="mount(2) and fsconfig(2) come by; only EBUSY of a superblock in use is sent",
        lost="downstream windows of mounts",
        needs_layout=True,
    ),
    Meaning(
        name="superblock in use",
        candidates=(Candidate(function="deactivate_locked_super", on_return=False),),
        why="a mount that is refused lets go of the superblock here: which device it was",
        lost="downstream windows of mounts",
        needs_layout=True,
    ),
    Meaning(
        name="walker",
        candidates=(Candidate(function="__legitimize_mnt", entry=False, kprobe_entry=True),),
        why="legitimize_mnt calls it, and is inlined since 6.1",
        lost="n_legitimized, n_discounted",
        hot=True,
        skippable=True,
        needs_layout=True,
    ),
    Meaning(
        name="walker's put",
        candidates=(
            # Not called for NULL, as mntput is in every path walk; inlined since 6.19.
            Candidate(function="mntput_no_expire", on_return=False, kprobe_only=True),
            Candidate(function="mntput", on_return=False),
        ),
        why="who walks or holds puts here; what the umounter puts is left out",
        lost="the puts of path walkers",
        hot=True,
        needs_layout=True,
    ),
)

#: functions people look for, and what stands for them where the compiler inlined them
SUBSTITUTES: tuple[tuple[str, str], ...] = (
    ("do_umount", "path_umount, its only caller"),
    ("ksys_umount", "path_umount; the path walk is the time before it"),
    ("namespace_lock", "the time from path_umount to the first call under the lock"),
    ("legitimize_mnt", "__legitimize_mnt, which it calls"),
    ("mntput_no_expire", "cleanup_mnt: only the last put counts"),
    ("exp_funnel_lock", "none: a shared grace period reads as expedited"),
)
