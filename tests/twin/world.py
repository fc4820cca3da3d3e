"""A kernel made by hand: mounts, tasks, and the calls in which mounts are taken down.

A call is a generator of hits. A hit is what both state machines see of one probe: the program of
bpf/ that would run, and the records that ftrace would write.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

from umtrace.model.events import Origin

U32, U64 = ctypes.c_uint32, ctypes.c_uint64
MNT_DETACH = 2
ENOENT, EBUSY, EINVAL = 2, 16, 22
#: where functions begin; each is LENGTH bytes long
PATH_UMOUNT, PUT_NS, CLEANUP, CLEANUP_WORK, FD_CLOSE = 0x10000, 0x20000, 0x30000, 0x40000, 0x50000
LENGTH = 0x100
CALLERS = {
    PATH_UMOUNT + 8: Origin.UMOUNT,
    PUT_NS + 8: Origin.NS_EXIT,
    FD_CLOSE + 8: Origin.FD_CLOSE,
}


class Mount(ctypes.Structure):
    """A struct mount with what the programs read; the struct vfsmount begins at ``root``."""

    _fields_ = (
        ("parent", U64), ("mountpoint", U64), ("root", U64), ("sb", U64), ("flags", U32),
        ("ns", U64), ("number", U64), ("devname", U64), ("rcu_next", U64), ("rcu_func", U64),
        ("umount_next", U64), ("umount_before", U64), ("pcp", U64),
    )  # fmt: skip

    @property
    def at(self):
        return ctypes.addressof(self)


class Counts(ctypes.Structure):
    """A struct mnt_pcp, of the one CPU that there is."""

    _fields_ = (("gets", U32),)


class SuperBlock(ctypes.Structure):
    _fields_ = (("dev", U32), ("type", U64), ("active", U32))


class Namespace(ctypes.Structure):
    _fields_ = (("inum", U32),)


class TaskStruct(ctypes.Structure):
    _fields_ = (("works", U64), ("nsproxy", U64), ("flags", U32), ("state", U32), ("pid", U32))


PER_CPU_OFFSET = U64(0)
#: what the loader gives the programs of such a kernel
CONSTANTS = {
    "UM_FUNCTIONS": 1, "UM_NOTES": 1, "UM_ENDS_BY_WORK": 1, "UM_KNOWS_TASK_WORK": 1,
    "UM_EVENT_PAGES": 1024, "UM_NAME_PAGES": 1024, "UM_MAX_TASKS": 1024, "UM_HOST_MNTNS": 0,
    "UM_TASK_DEAD": 128, "UM_OFF_MNT_NS_INUM": Namespace.inum.offset,
    "UM_FN_PATH_UMOUNT": f"{PATH_UMOUNT},{LENGTH}", "UM_FN_PUT_NS": f"{PUT_NS},{LENGTH}",
    "UM_FN_CLEANUP": f"{CLEANUP},{LENGTH}", "UM_FN_CLEANUP_WORK": f"{CLEANUP_WORK},{LENGTH}",
    "UM_FN_DISSOLVE": f"{FD_CLOSE},{LENGTH}", "UM_FN_ENTRY": "0,0",
    "UM_OFF_TASK_STATE": TaskStruct.state.offset, "UM_OFF_TASK_PID": TaskStruct.pid.offset,
    "UM_OFF_TASK_WORKS": TaskStruct.works.offset, "UM_OFF_TASK_FLAGS": TaskStruct.flags.offset,
    "UM_OFF_TASK_NSPROXY": TaskStruct.nsproxy.offset, "UM_OFF_NSPROXY_MNT_NS": 0,
    "UM_OFF_MOUNT_MNT": Mount.root.offset, "UM_OFF_MOUNT_NS": Mount.ns.offset,
    "UM_OFF_MOUNT_ID": Mount.number.offset, "UM_OFF_MOUNT_DEVNAME": Mount.devname.offset,
    "UM_OFF_MOUNT_ID_UNIQUE": Mount.number.offset, "UM_OFF_MOUNT_RCU": Mount.rcu_next.offset,
    "UM_OFF_VFSMOUNT_ROOT": 0, "UM_OFF_VFSMOUNT_SB": Mount.sb.offset - Mount.root.offset,
    "UM_OFF_VFSMOUNT_FLAGS": Mount.flags.offset - Mount.root.offset,
    "UM_OFF_MOUNT_PARENT": Mount.parent.offset, "UM_OFF_MOUNT_MOUNTPOINT": Mount.mountpoint.offset,
    "UM_OFF_MOUNT_PCP": Mount.pcp.offset, "UM_OFF_PCP_GETS": 0, "UM_CPUS": 1,
    "UM_OFF_MOUNT_UMOUNT": Mount.umount_next.offset,
    "UM_ADDR_PER_CPU_OFFSET": f"{ctypes.addressof(PER_CPU_OFFSET)}ULL",
    "UM_OFF_SB_DEV": SuperBlock.dev.offset, "UM_OFF_SB_TYPE": SuperBlock.type.offset,
    "UM_OFF_SB_ACTIVE": SuperBlock.active.offset, "UM_OFF_FSTYPE_NAME": 0, "UM_OFF_PATH_MNT": 0,
}  # fmt: skip


@dataclass
class Hit:
    """What is seen of one probe."""

    program: tuple  #: what runs it, its name and arguments
    records: list = field(default_factory=list)
    stack: tuple = ()


class Task:
    """A task; what it does lies in its ``calls``, generators of hits."""

    def __init__(self, world, tid):
        self.world, self.tid, self.comm = world, tid, f"task-{tid}".encode()
        self.ns = Namespace(4026531840 + tid)
        self.proxy = U64(ctypes.addressof(self.ns))
        self.struct = TaskStruct(0, ctypes.addressof(self.proxy), 0)

    # ---- umount(2) ----

    def system_call(self):
        """Enter the kernel; where nothing else ends an operation, this does."""
        yield Hit(("trace", "um_next_syscall"))

    def umount(
        self, *, lazy=False, fails=0, mounts=1, held=(), shared=(), gp=None, copy=False, inside=None
    ):
        """One call of umount(2) and its way out.

        ``held`` are the numbers of the mounts to which somebody else has a reference, ``shared`` of
        those whose superblock lives on; ``copy`` says that an EBUSY is that of a copy.
        """
        yield from self.system_call()
        tree = self.world.tree(mounts, self.ns, shared, held)
        target, flags = tree[0], MNT_DETACH if lazy else 0
        path = ctypes.create_string_buffer(b"/mnt/%d" % target.number)
        words = (0, 0, ctypes.addressof(path), flags)
        fields = {"flags": flags, "comm": self.comm}
        named = ("um_name", {"path": path.value})
        yield Hit(("trace", "um_enter", *words), [("um_enter", fields), named])
        if fails != ENOENT:
            yield from self._path_umount(tree, flags, fails, gp, copy=copy)
        back = ("um_exit", {"ret": -fails})
        yield Hit(("trace", "um_exit", 0, 0, -fails & (1 << 64) - 1), [back])
        yield from self.task_work(inside)

    def _path_umount(self, tree, flags, fails, gp, *, copy):
        target, fields = tree[0], {"flags": flags, "comm": self.comm}
        target.counts.gets += 1  # of the path
        path = U64(target.at + Mount.root.offset)
        of = {"vfsmount": path.value, **self.world.described(target)}
        program = ("enter", "path_umount", ctypes.addressof(path), flags)
        yield Hit(program, [("um_path", {**fields, **of})])
        if fails != EINVAL:
            yield from self.world.takes_lock()
            if not flags & MNT_DETACH:
                yield from self._check(target, fails, copy=copy)
            if fails:
                yield from self._unlock([], gp)
            else:
                yield from self._takes_down(tree, 3, PATH_UMOUNT + 8, gp)
        if not fails:  # of what is mounted, nobody counts what is left
            yield from self._put(target)
        back = ("um_path_exit", {"ret": -fails})
        yield Hit(("leave", "path_umount", -fails & 0xFFFFFFFF), [back])

    def _check(self, target, fails, *, copy):
        mnt = {"mnt": target.at}
        yield Hit(("enter", "propagate_mount_busy", target.at), [("um_check", mnt)])
        yield from self._count(target, 3 if fails and not copy else 2)
        if copy:
            yield from self._count(self.world.mount(self.ns), 2 if fails else 1)
        back = ("um_checked", {"ret": int(bool(fails))})
        yield Hit(("leave", "propagate_mount_busy", int(bool(fails))), [back])

    # ---- the end of a mount namespace, the close of a detached tree ----

    def teardown(self, *, mounts=1, held=(), shared=(), gp=None, way=(), inside=None):
        """The end of a mount namespace; ``way`` are the callers of what puts it."""
        if not way:
            yield from self.system_call()
        tree = self.world.tree(mounts, self.ns, shared, held)
        yield from self.world.takes_lock()
        yield from self._takes_down(tree, 0, PUT_NS + 8, gp, way=way)
        if not way:
            yield from self.task_work(inside)

    def closes(self, *, mounts=1, held=(), shared=(), gp=None, inside=None):
        """The close of a detached tree: the file has a reference to its root, and puts it last.

        The tree stays connected: the cleanup of its root puts the other mounts.
        """
        yield from self.system_call()
        root, *rest = self.world.tree(mounts, self.ns, shared, held)
        root.children = rest
        self.world.left += [mount for mount in rest if mount.held]
        yield from self.world.takes_lock()
        root.counts.gets += 1  # of the file
        self.world.closing += 1
        yield from self._takes_down([root], 4, FD_CLOSE + 8, gp)
        yield from self._put(root)
        self.world.closing -= 1
        yield from self.task_work(inside)

    def _takes_down(self, tree, how, caller, gp, *, way=()):
        root = tree[0]
        of = {"mnt": root.at, "how": how, "caller": caller, "comm": self.comm}
        record = ("um_tree", {**of, **self.world.described(root)})
        yield Hit(("enter", "umount_tree", root.at, how), [record], (caller, *way))
        yield from self._unlock(tree, gp)

    def _unlock(self, tree, gp):
        self.world.victims(tree)
        yield Hit(("enter", "namespace_unlock"), [("um_unlock", {})])
        self.world.victims(())
        self.world.left += [mount for mount in tree if mount.held]
        self.world.locked = False
        if tree:
            yield Hit(("enter", "synchronize_rcu_expedited"), [("um_rcu", {})])
            if gp == "normal":
                yield Hit(("enter", "__wait_rcu_gp"), [("um_normal2", {})])
            elif gp is not None:
                joined = int(gp == "joined")
                record = ("um_joined", {"ret": joined})
                yield Hit(("leave", "exp_funnel_lock", joined), [record])
            yield Hit(("leave", "synchronize_rcu_expedited"), [("um_rcu_exit", {})])
        for mount in tree:
            yield from self._put(mount)
        yield Hit(("leave", "namespace_unlock"), [("um_unlock_exit", {})])

    def _put(self, mount):
        """Put a reference to a mount that is taken down."""
        mount.counts.gets -= 1
        left = mount.counts.gets
        yield from self._count(mount, left)
        if not left:
            mount.rcu_next, mount.rcu_func = self.struct.works, CLEANUP_WORK
            self.struct.works = mount.at + Mount.rcu_next.offset

    def _count(self, mount, references):
        count = ("um_count", {"mnt": mount.at, **self.world.in_namespace(mount)})
        yield Hit(("enter", "mnt_get_count", mount.at), [count])
        yield Hit(("leave", "mnt_get_count", references), [("um_counted", {"ret": references})])

    # ---- the way out ----

    def puts(self, *, inside=None):
        """Drop the last reference to a mount that was held when it was taken down.

        Not during the close of a file: the programs go by the references that are left as
        namespace_unlock() returns, a moment before the file puts its own.
        """
        yield from self.system_call()
        while self.world.closing:
            yield None
        if self.world.left:
            yield from self._put(self.world.left.pop(0))
        yield from self.task_work(inside)

    def task_work(self, inside):
        """Clean up the mounts in the list of work; within the first one, ``inside`` runs."""
        while self.struct.works:
            node, self.struct.works = self.struct.works, 0
            while node:
                mount = self.world.mounts[node - Mount.rcu_next.offset]
                yield from self._cleanup(mount, inside)
                node, inside = mount.rcu_next, None

    def _cleanup(self, mount, inside):
        sb = self.world.superblocks[mount.sb]
        of = {"mnt": mount.at, "comm": self.comm, "mflags": mount.flags, "active": sb.active}
        record = ("um_cleanup", {**of, "dev": sb.dev})
        yield Hit(("enter", "cleanup_mnt", mount.at), [record])
        if inside is not None:
            yield from self.teardown(**inside, way=(CLEANUP + 8,))
        for child in mount.children:
            yield from self._put(child)
        sb.active -= 1
        yield Hit(("leave", "cleanup_mnt"), [("um_cleanup_exit", {})])

    def exits(self):
        """The end of the task."""
        yield Hit(("trace", "um_process_exit"), [("sched_process_exit", {"pid": self.tid})])


class World:
    """The mounts, and the lock under which trees change."""

    def __init__(self, unmounted):
        self.mounts, self.superblocks = {}, {}
        self.unmounted = unmounted  #: the head of the list of namespace_unlock()
        self.locked = False
        self.closing = 0  #: files whose mount is taken down, and not put
        self.left = []  #: mounts that somebody else holds
        self.source = ctypes.create_string_buffer(b"none")
        self.name = ctypes.create_string_buffer(b"tmpfs")
        self.fstype = U64(ctypes.addressof(self.name))

    def tree(self, mounts, ns, shared, held):
        """Return new mounts."""
        numbers = range(mounts)
        return [self.mount(ns, shared=at in shared, held=at in held) for at in numbers]

    def mount(self, ns, *, shared=False, held=False):
        """Return a new mount."""
        number = len(self.mounts) + 1
        sb = SuperBlock(40 + number, ctypes.addressof(self.fstype), 3 if shared else 1)
        self.superblocks[ctypes.addressof(sb)] = sb
        mount = Mount(sb=ctypes.addressof(sb), flags=0x1000, ns=ctypes.addressof(ns), number=number)
        mount.devname = ctypes.addressof(self.source)
        mount.space, mount.held, mount.counts = ns, held, Counts(1 + held)
        mount.children = ()  #: that are connected to it, and still to be put
        mount.pcp = ctypes.addressof(mount.counts)
        self.mounts[mount.at] = mount
        return mount

    def in_namespace(self, mount):
        return {"ns": 0xFFFF888000000000, "inum": mount.space.inum}

    def described(self, mount):
        sb = self.superblocks[mount.sb]
        of = {"id": mount.number, "mflags": mount.flags, "dev": sb.dev, "fstype": b"tmpfs"}
        return {**of, "source": self.source.value, **self.in_namespace(mount)}

    def victims(self, tree):
        """Put these into the list `unmounted`."""
        at = [mount.at + Mount.umount_next.offset for mount in tree]
        for mount, after in zip(tree, [*at[1:], 0], strict=False):
            mount.umount_next = after
        self.unmounted.value = at[0] if at else 0

    def takes_lock(self):
        """Wait for namespace_sem."""
        while self.locked:
            yield None
        self.locked = True
