"""The functions that, on a kernel stack, show what an umount waits for.

The probe programs use this list as address ranges, and what reads stacks as text uses it, too.
Frames come innermost first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from umtrace.kernel.symbols import Symbols
from umtrace.model.kinds import OnStack

#: constant of the probe programs -> the symbols of its function, in order of preference
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "UM_FN_UNLOCK": ("namespace_unlock",),
    "UM_FN_RCU": ("synchronize_rcu_expedited",),
    # 5.10 and 6.1 fall back to a normal grace period by __wait_rcu_gp; 6.12 has
    # synchronize_rcu_normal, of which the compiler splits off a part as .part.0.
    "UM_FN_RCU_NORMAL": ("synchronize_rcu_normal",),
    "UM_FN_RCU_NORMAL_PART": ("synchronize_rcu_normal.part.0",),
    "UM_FN_WAIT_RCU_GP": ("__wait_rcu_gp",),
    "UM_FN_FUNNEL": ("exp_funnel_lock",),  # inlined on 5.10 and 6.1
    "UM_FN_MUTEX": ("__mutex_lock.constprop.0", "__mutex_lock.isra.0", "__mutex_lock"),
    "UM_FN_DOWN_WRITE": ("down_write",),
    "UM_FN_RWSEM_SLOW": ("rwsem_down_write_slowpath", "rwsem_down_write_slowpath.isra.0"),
    "UM_FN_RWBASE": ("rwbase_write_lock", "rwbase_write_lock.isra.0"),  # PREEMPT_RT
    "UM_FN_PATH_UMOUNT": ("path_umount",),
    "UM_FN_PUT_NS": ("put_mnt_ns",),
    # Callers of put_mnt_ns, which may make a tail call of namespace_unlock.
    "UM_FN_EVICT": ("evict",),  # of a file of nsfs; nsfs_evict ends with that call as well
    "UM_FN_SWITCH_NS": ("switch_task_namespaces",),
    "UM_FN_FREE_NSPROXY": ("free_nsproxy",),
    "UM_FN_MOUNTS_RELEASE": ("mounts_release",),
    "UM_FN_DROP_COLLECTED": ("drop_collected_mounts",),  # until 6.15
    # Callers of umount_tree: the one on the stack gives the origin of the umount.
    "UM_FN_DETACH_MOUNTS": ("__detach_mounts",),
    "UM_FN_EXPIRY": ("mark_mounts_for_expiry",),
    "UM_FN_DISSOLVE": ("dissolve_on_fput",),
    "UM_FN_PATH_MOUNT": ("path_mount",),
    "UM_FN_MOUNT_SUBTREE": ("mount_subtree",),
    "UM_FN_GET_TREE": ("vfs_get_tree",),
    "UM_FN_COPY_TREE": ("copy_tree",),
    "UM_FN_ATTACH_RECURSIVE": ("attach_recursive_mnt", "attach_recursive_mnt.isra.0"),
    "UM_FN_LOOKUP": ("filename_lookup",),
    "UM_FN_TASK_WORK": ("task_work_run",),
    "UM_FN_CLEANUP": ("cleanup_mnt",),
    "UM_FN_LOOKUP_MNT": ("lookup_mnt",),  # puts a reference if the mount tree changed
    "UM_FN_CLEANUP_WORK": ("__cleanup_mnt",),  # the task work that mntput() adds
}

#: around the entries into the kernel, of which one is the outermost frame of a whole stack
ENTRY = ("__entry_text_start", "__entry_text_end")

BITS: Mapping[str, OnStack] = {
    "UM_FN_UNLOCK": OnStack.UNLOCK,
    "UM_FN_RCU": OnStack.RCU,
    "UM_FN_RCU_NORMAL": OnStack.RCU_NORMAL,
    "UM_FN_RCU_NORMAL_PART": OnStack.RCU_NORMAL,
    "UM_FN_WAIT_RCU_GP": OnStack.RCU_NORMAL,
    "UM_FN_FUNNEL": OnStack.FUNNEL,
    "UM_FN_MUTEX": OnStack.MUTEX,
    "UM_FN_LOOKUP": OnStack.LOOKUP,
    "UM_FN_TASK_WORK": OnStack.TASK_WORK,
    "UM_FN_CLEANUP": OnStack.TASK_WORK,
    "UM_FN_PUT_NS": OnStack.PUT_NS,
}
LOCKS = ("UM_FN_DOWN_WRITE", "UM_FN_RWSEM_SLOW", "UM_FN_RWBASE")
LOCK_TAKERS = ("UM_FN_PATH_UMOUNT", "UM_FN_PUT_NS", "UM_FN_DROP_COLLECTED")
_CONSTANT_OF = {symbol: name for name, symbols in FUNCTIONS.items() for symbol in symbols}


def function_constants(symbols: Symbols) -> dict[str, str]:
    """Return each function as the two arguments "address, length"; "0, 0" if unknown."""
    constants = {"UM_KNOWS_TASK_WORK": "0"}
    for name, candidates in FUNCTIONS.items():
        spans = (symbols.span(candidate) for candidate in candidates)
        start, end = next((span for span in spans if span), (0, 0))
        constants[name] = f"{start:#x}ULL,{end - start}"
        if name == "UM_FN_TASK_WORK" and start:
            constants["UM_KNOWS_TASK_WORK"] = "1"
    start, end = (span[0] if (span := symbols.span(name)) else 0 for name in ENTRY)
    constants["UM_FN_ENTRY"] = f"{start:#x}ULL,{max(end - start, 0)}"
    return constants


def on_stack(frames: Sequence[str]) -> OnStack:
    """Return the bits of a stack that is given as function names; same rule as in the kernel."""
    found = OnStack(0)
    in_lock = False
    for frame in frames:
        name = _CONSTANT_OF.get(frame, "")
        if name in BITS:
            found |= BITS[name]
        if in_lock and name in LOCK_TAKERS:
            found |= OnStack.LOCK_TAKER
        in_lock = name in LOCKS
    return found
