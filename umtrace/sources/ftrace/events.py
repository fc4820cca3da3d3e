"""The dynamic events of the ftrace tier, and what each fetches.

A fetch argument follows pointers in the kernel (``+off(arg)``), with offsets from this kernel's
BTF. If a pointer is invalid, the number is undefined. So such a pointer is fetched as well, and the
number is used only if the pointer is valid.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

MAXACTIVE = 4096  # KRETPROBE_MAXACTIVE_MAX
DYING = 0x0B000000  # MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs by architecture: the umount system call, its arguments, the caller."""

    syscall: str
    name: str
    flags: str
    caller: str


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine("__x64_sys_umount", "+112($arg1)", "+104($arg1)", "$stack0"),
    "aarch64": Machine("__arm64_sys_umount", "+0($arg1)", "+8($arg1)", "%lr"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One dynamic event: its function, what it fetches, and what is lost without it."""

    name: str
    function: str
    meaning: str
    args: tuple[str, ...] = ()
    on_return: bool = False
    filter: str = ""
    required: bool = False
    lost: str = ""
    hot: bool = False
    pair: str = ""  #: the event without which this one is useless
    symbol: str = ""  #: the symbol of the function on this kernel, maybe with a compiler's suffix
    fields: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(arg.partition("=")[0] for arg in self.args)
        object.__setattr__(self, "fields", names)

    @property
    def reads_arguments(self) -> bool:
        """Whether it needs the arguments of the function, which a compiler may have changed."""
        return any("$arg" in arg for arg in self.args)

    def definition(self, group: str) -> str:
        """Return the line for ``kprobe_events``."""
        kind = f"r{MAXACTIVE}" if self.on_return else "p"
        where = self.symbol or self.function
        return " ".join((f"{kind}:{group}/{self.name}", where, *self.args)) + "\n"


def events(layout: Mapping[str, int], *, walkers: bool) -> list[Event]:
    """Return the events in the order in which they are made.

    Parameters
    ----------
    layout : mapping
        Offsets as ``kernel.constants.layout_constants`` gives them; without those of the
        mount, identities are not fetched.
    walkers : bool
        Whether the hot events on path walks are wanted.
    """
    machine = MACHINES.get(platform.machine(), MACHINES["x86_64"])
    found = [*_operation(machine, layout), *_operation_32(machine)]
    found += [*_check(layout), *_grace_period(), *_puts(layout)]
    found += [*_claims(layout), *_refused(layout)]
    return found + (_walkers(layout) if walkers and "UM_OFF_MOUNT_MNT" in layout else [])


def _operation(machine: Machine, layout: Mapping[str, int]) -> list[Event]:
    of_path, of_tree = _of_path(layout), _described("$arg1", 0, layout)
    enter = (f"flags={machine.flags}:s32", "comm=$comm:string")
    tree = ("mnt=$arg1:x64", "how=$arg2:u32", f"caller={machine.caller}:x64", "comm=$comm:string")
    path = ("flags=$arg2:s32", "comm=$comm:string", *of_path)
    leave = ("ret=$retval:s32",)
    return [
        Event("um_enter", machine.syscall, "operation", enter, required=True),
        # An event of its own, since the kernel drops a hit with a path that fills a page.
        Event("um_name", machine.syscall, "path", (f"path=+0({machine.name}):ustring",),
              lost="path"),
        Event("um_exit", machine.syscall, "operation", leave, on_return=True, required=True),
        Event("um_path", "path_umount", "umount(2)", path, required=True),
        Event("um_path_exit", "path_umount", "umount(2)", leave, on_return=True, required=True),
        Event("um_tree", "umount_tree", "tree", (*tree, *of_tree), required=True),
        Event("um_unlock", "namespace_unlock", "unlock", required=True),
        Event("um_unlock_exit", "namespace_unlock", "unlock", on_return=True, required=True),
    ]  # fmt: skip


def _operation_32(machine: Machine) -> list[Event]:
    """Return the system call of 32-bit programs; its arguments are in ebx and ecx."""
    if machine is not MACHINES["x86_64"]:
        return []
    path, enter = "path=+0(+40($arg1)):ustring", ("flags=+88($arg1):s32", "comm=$comm:string")
    call, what = "__ia32_sys_umount", "32-bit system call"
    lost = "path and lookup_ns of 32-bit (compat) umount calls"
    back = Event("um_exit32", call, what, ("ret=$retval:s32",), on_return=True, lost=lost)
    return [
        back,
        Event("um_enter32", call, what, enter, lost=lost, pair=back.name),
        Event("um_name32", call, what, (path,), lost="path", pair="um_enter32"),
    ]  # fmt: skip


def _check(layout: Mapping[str, int]) -> list[Event]:
    lost = "refcount, lock_ns of EBUSY"
    mount = ("mnt=$arg1:x64", *_namespace("$arg1", 0, layout))
    ret = ("ret=$retval:s32",)
    busy, count = "propagate_mount_busy", "mnt_get_count"
    counts = "refcount, n_mounts, end of an umount with several mounts"
    return [
        Event("um_checked", busy, "busy check", ret, on_return=True, lost=lost),
        Event("um_check", busy, "busy check", mount[:1], lost=lost, pair="um_checked"),
        Event("um_counted", count, "reference count", ret, on_return=True, lost=counts),
        Event("um_count", count, "reference count", mount, lost=counts, pair="um_counted"),
    ]


def _grace_period() -> list[Event]:
    rcu = "synchronize_rcu_expedited"
    kind = "rcu_kind normal"
    found = [
        Event("um_rcu", rcu, "RCU wait", required=True),
        Event("um_rcu_exit", rcu, "RCU wait", on_return=True, required=True),
        Event("um_joined", "exp_funnel_lock", "shared grace period", ("ret=$retval:u8",),
              on_return=True, lost="rcu_kind piggybacked"),
    ]  # fmt: skip
    # Until 6.11 this is __wait_rcu_gp() alone. Since then it is a function of its own, of which the
    # compiler may split off a part.
    normal = ("synchronize_rcu_normal", "synchronize_rcu_normal.part.0", "__wait_rcu_gp")
    for number, function in enumerate(normal):
        name = f"um_normal{number}"
        back = Event(f"{name}_exit", function, "normal grace period", on_return=True, lost=kind)
        entry = Event(name, function, "normal grace period", lost=kind, pair=back.name)
        found += [back, entry]
    return found


def _puts(layout: Mapping[str, int]) -> list[Event]:
    lost = "final_put, tail_ns, end of shutdown"
    mount = ("mnt=$arg1:x64", "comm=$comm:string", *_superblock(layout))
    put, where = "final put", "cleanup_mnt"
    return [
        Event("um_cleanup_exit", where, put, on_return=True, lost=lost),
        Event("um_cleanup", where, put, mount, lost=lost, pair="um_cleanup_exit"),
        # Where the compiler inlined mnt_get_count() in mntput() (5.10), these two replace it.
        Event("um_private", "change_mnt_propagation", "mounts counted", lost="n_mounts on 5.10"),
        Event("um_last", "shrink_dentry_list", "last references counted", lost="as above"),
    ]


def _claims(layout: Mapping[str, int]) -> list[Event]:
    """Return the events for claims of a block device that is in use: O_EXCL, mkfs, mount."""
    if "UM_OFF_BDEV_DEV" not in layout:
        return []
    claim, lost, function = "device claim", "downstream windows", "bd_prepare_to_claim"
    dev = f"dev={_at(layout['UM_OFF_BDEV_DEV'], '$arg1')}:u32"
    back = ("ret=$retval:s32", "comm=$comm:string")
    return [
        Event("um_claimed", function, claim, back, on_return=True, lost=lost, filter="ret == -16"),
        Event("um_claim", function, claim, (dev,), lost=lost, pair="um_claimed"),
    ]


def _refused(layout: Mapping[str, int]) -> list[Event]:
    """Return the events for mounts that fail because the superblock of the device is in use."""
    if "UM_OFF_MOUNT_MNT" not in layout:
        return []
    lost = "downstream windows of mounts"
    get, drop = "vfs_get_tree", "deactivate_locked_super"
    back = ("ret=$retval:s32", "comm=$comm:string")
    sb = (
        f"active={_at(layout['UM_OFF_SB_ACTIVE'], '$arg1')}:u32",
        f"dev={_at(layout['UM_OFF_SB_DEV'], '$arg1')}:u32",
    )
    return [
        Event("um_refused", get, "refused mount", back, on_return=True, lost=lost,
              filter="ret < 0"),
        Event("um_dropped_sb", drop, "superblock in use", sb, lost=lost, filter="active > 1",
              pair="um_refused"),
    ]  # fmt: skip


def _walkers(layout: Mapping[str, int]) -> list[Event]:
    flags = f"flags=+{layout['UM_OFF_VFSMOUNT_FLAGS']}($arg1):x32"
    dying = f"flags & {DYING:#x}"
    # A return event has the arguments since 6.9, 25f00e40ce79 ("tracing/probes: Support $argN
    # in return probe"). Before, it cannot test the flags, and path walkers are not seen.
    walk = ("ret=$retval:s32", "mnt=$arg1:x64", flags, "comm=$comm:string")
    put = ("mnt=$arg1:x64", flags, "comm=$comm:string")
    return [
        Event("um_walk", "__legitimize_mnt", "walker", walk, on_return=True, hot=True,
              filter=f"mnt != 0 && ((ret == -1) || (ret == 1 && {dying}))",
              lost="n_legitimized, n_discounted"),
        Event("um_put", "mntput", "walker's put", put, filter=f"mnt != 0 && {dying}",
              lost="the puts of path walkers", hot=True, pair="um_walk"),
    ]  # fmt: skip


def _at(offset: int, base: str) -> str:
    return f"{offset:+d}({base})"


def _of_path(layout: Mapping[str, int]) -> tuple[str, ...]:
    if "UM_OFF_MOUNT_MNT" not in layout:
        return ()
    vfsmount = _at(layout["UM_OFF_PATH_MNT"], "$arg1")
    shift = layout["UM_OFF_MOUNT_MNT"]
    return (f"vfsmount={vfsmount}:x64", *_described(vfsmount, shift, layout))


def _described(base: str, shift: int, layout: Mapping[str, int]) -> tuple[str, ...]:
    """Return the fetches for the mount at ``base - shift``; nothing without BTF."""
    if "UM_OFF_MOUNT_MNT" not in layout:
        return ()
    unique = layout.get("UM_OFF_MOUNT_ID_UNIQUE")
    where = layout["UM_OFF_MOUNT_ID"] if unique is None else unique
    in_mount = layout["UM_OFF_MOUNT_MNT"] - shift
    sb = _at(in_mount + layout["UM_OFF_VFSMOUNT_SB"], base)
    fstype = _at(layout["UM_OFF_FSTYPE_NAME"], _at(layout["UM_OFF_SB_TYPE"], sb))
    source = _at(layout["UM_OFF_MOUNT_DEVNAME"] - shift, base)
    return (
        f"id={_at(where - shift, base)}:{'s32' if unique is None else 'u64'}",
        f"mflags={_at(in_mount + layout['UM_OFF_VFSMOUNT_FLAGS'], base)}:x32",
        f"dev={_at(layout['UM_OFF_SB_DEV'], sb)}:u32",
        f"fstype=+0({fstype}):string",
        f"source=+0({source}):string",
        *_namespace(base, shift, layout),
    )


def _namespace(base: str, shift: int, layout: Mapping[str, int]) -> tuple[str, ...]:
    if "UM_OFF_MOUNT_MNT" not in layout:
        return ()
    ns = _at(layout["UM_OFF_MOUNT_NS"] - shift, base)
    return f"ns={ns}:x64", f"inum={_at(layout['UM_OFF_MNT_NS_INUM'], ns)}:u32"


def _superblock(layout: Mapping[str, int]) -> tuple[str, ...]:
    if "UM_OFF_MOUNT_MNT" not in layout:
        return ()
    vfsmount = layout["UM_OFF_MOUNT_MNT"]
    sb = _at(vfsmount + layout["UM_OFF_VFSMOUNT_SB"], "$arg1")
    return (
        f"mflags={_at(vfsmount + layout['UM_OFF_VFSMOUNT_FLAGS'], '$arg1')}:x32",
        f"active={_at(layout['UM_OFF_SB_ACTIVE'], sb)}:u32",
        f"dev={_at(layout['UM_OFF_SB_DEV'], sb)}:u32",
    )
