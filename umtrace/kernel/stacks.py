"""What a kernel stack says a task inside an umount is waiting for.

Frames come innermost first. The rules hold from 5.10 to 7.3; the functions they name
are listed with their history in docs/kernels.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.records.events import Wait

# The GP wait of namespace_unlock(); __wait_rcu_gp is what 5.10 and 6.1 call directly,
# synchronize_rcu_normal what 6.12 calls when rcu_normal is set.
_RCU = ("synchronize_rcu_expedited", "synchronize_rcu_normal", "__wait_rcu_gp", "synchronize_rcu")
_RCU_NORMAL = ("synchronize_rcu_normal", "__wait_rcu_gp")
# Taking namespace_sem for writing: rwsem on a standard kernel, rtmutex based on PREEMPT_RT.
_RWSEM = ("rwsem_down_write", "down_write", "rwbase_write_lock", "__down_write")
_LOCK_TAKERS = ("path_umount", "do_umount", "put_mnt_ns", "drop_collected_mounts", "namespace_lock")
_SHUTDOWN = ("cleanup_mnt", "task_work_run", "deactivate_super", "deactivate_locked_super")
_LOOKUP = ("user_path_at", "user_path_at_empty", "filename_lookup", "path_lookupat")


def classify(frames: Sequence[str]) -> Wait:
    """Return the wait class of one kernel stack.

    Parameters
    ----------
    frames : sequence of str
        Function names, innermost first; compiler suffixes are ignored.
    """
    names = [name.split(".", 1)[0] for name in frames]
    if not names:
        return Wait.UNKNOWN
    if "namespace_unlock" in names:
        return _grace_period(names[: names.index("namespace_unlock")])
    if any(name in _SHUTDOWN for name in names):
        return Wait.SHUTDOWN
    if _waits_for_namespace_lock(names):
        return Wait.NAMESPACE_LOCK
    if any(name in _LOOKUP for name in names):
        return Wait.LOOKUP
    return Wait.OTHER


def _grace_period(inner: list[str]) -> Wait:
    if not any(name in _RCU for name in inner):
        return Wait.OTHER
    if any(name in _RCU_NORMAL for name in inner):
        return Wait.RCU_NORMAL
    # Asleep in exp_funnel_lock() outside its mutex means that somebody else has
    # already asked for a late enough grace period: the function then returns true.
    if "exp_funnel_lock" in inner and not any("mutex" in name for name in inner):
        return Wait.RCU_PIGGYBACK
    return Wait.RCU_EXPEDITED


def _waits_for_namespace_lock(names: list[str]) -> bool:
    """Whether the first frame above the lock functions is one that takes namespace_sem."""
    locking = [i for i, name in enumerate(names) if name.startswith(_RWSEM)]
    if not locking:
        return False
    above = names[locking[-1] + 1 :]
    return bool(above) and above[0] in _LOCK_TAKERS
