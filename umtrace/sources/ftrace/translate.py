"""Translates ftrace records to the events of ``bpf/event.h``, as the BPF programs make them.

Two things differ. No record shows a return to user mode, so an umount is over when its task has
cleaned up as many mounts as it dropped last references. And some fields of an event come in a later
record, so the event is held back until then. If a trace by another tool lacks records, an UNSEEN
event says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from umtrace.model.events import (
    IS_TARGET,
    WALKERS_WATCHED,
    EventBatch,
    Exit,
    GracePeriod,
    Kind,
    NameKind,
    Origin,
    Returned,
    Unseen,
)
from umtrace.sources.ftrace.batches import parts
from umtrace.sources.ftrace.foreign_tasks import ForeignTasks
from umtrace.sources.ftrace.operation import UNKNOWN, Operation, Phase
from umtrace.sources.ftrace.origin import inum_of, origin_of
from umtrace.sources.ftrace.records import LOST, Record
from umtrace.sources.ftrace.task_tracker import TaskTracker

_HALVES = frozenset({"um_enter", "um_name", "um_enter32", "um_name32"})
#: origins of an umount_tree that belongs to path_umount(), though the entry of that was not seen
_OF_ITS_OWN = (None, Origin.UMOUNT, Origin.OTHER)
_BIRTHS = frozenset({"task_newtask", "sched_process_exit", "cgroup_attach_task"})


class Translator(ForeignTasks):
    """Takes records sorted by time; deterministic.

    Parameters
    ----------
    lineage : TaskTracker
    origin_at : callable
        From a return address to the origin of an umount_tree; None if the address has no name.
    shift : int
        From a ``struct vfsmount`` back to its ``struct mount``.
    watching : bool
        Whether path walkers are probed.
    counts : bool
        Whether the records show drops of last references. Otherwise an umount is over when its task
        does something else, or at the end of the trace.
    unseen : Unseen
        What no record shows, since a function has no probe or another tool did not trace it.
    """

    def __init__(
        self,
        lineage: TaskTracker,
        origin_at: Callable[[int], Origin | None],
        *,
        shift: int,
        watching: bool,
        counts: bool = True,
        unseen: Unseen = Unseen(0),  # noqa: B008 - a constant
    ) -> None:
        super().__init__(lineage, unseen, counts=counts, shift=shift)
        self._origin_at = origin_at
        self._watching = watching
        #: by task, its last record, if that is one of the two for the entry of a system call
        self._halves: dict[int, Record] = {}
        self._foreign: dict[int, list[tuple[int, bytes]]] = {}  # cleanups that go on
        self._handlers: dict[str, Callable[[Record], None]] = {
            name[1:]: getattr(self, name) for name in dir(self) if name.startswith("_um_")
        }

    def feed(self, records: Iterable[Record]) -> EventBatch:
        """Translate records; the last events of an operation may come from a later call."""
        for record in records:
            if record.ts_ns >= self._lineage.due_ns:
                self._lineage.settle()
            if self._halves and record.name not in _HALVES:
                self._halves.pop(record.tid, None)
            if self._unanswered and record.name != "um_exit":
                self._give_up(record.tid)
            if record.name in _BIRTHS:
                self._life(record)
            elif record.name == LOST:
                self.lose(record.fields.get("until", record.ts_ns))
            else:
                self._handlers[record.name](record)
        return self._out.take()

    def finish(self) -> EventBatch:
        """Return the events that are held back, at the end of the trace."""
        for op in list(self._ops.values()):
            self._give_up(op.tid)
            if op.last is not None and not self._counts:
                self._end(op, op.last, Returned.UNKNOWN)
            for each in op.both:
                each.settle()
        return self._out.take()

    def lose(self, until_ns: int) -> None:
        """Mark the open operations, and forget records that wait for their other half."""
        super().lose(until_ns)
        self._halves.clear()

    # ---- umount(2) ----

    def _um_enter(self, r: Record) -> None:
        op = self._open(r, Phase.INSIDE)
        half = self._halves.pop(r.tid, None)
        if "path" in r.fields:  # in a trace by another tool
            self._called(r, r.fields["path"])
        elif half is not None and "path" in half.fields:
            self._called(r, half.fields["path"])
        else:
            self._halves[r.tid] = r
        self._enter(op, r)

    def _um_name(self, r: Record) -> None:
        """Take the path from a probe at the same place; either of the two may come first."""
        half = self._halves.pop(r.tid, None)
        if half is not None and "path" not in half.fields:
            self._called(half, r.fields["path"])
        else:
            self._halves[r.tid] = r

    def _called(self, enter: Record, path: bytes) -> None:
        self._out.names += parts(enter.ts_ns, enter.tid, NameKind.PATH, path)

    def _enter(self, op: Operation, r: Record) -> None:
        op.hold()
        cgroup = self._lineage.cgroup(r.tid)
        comm, flags = r.fields["comm"][:15], r.fields.get("flags")
        op.emit(Kind.ENTER, r.ts_ns, r.cpu, ret=flags or 0, a=cgroup, comm=comm, mnt=0)
        self._emit_unseen(op, r, Unseen(0) if flags is not None else Unseen.FLAGS)
        if r.ts_ns < self._losing_until:
            op.skip()

    def _um_path(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE)
        if op is None:  # a system call without a probe of its own: 32 bit, oldumount
            op = self._open(r, Phase.INSIDE)
            op.by_function = not self._lost_lately
            self._enter(op, r)
            if self._lost_lately:
                op.skip()
        op.in_umount = True
        vfsmount = r.fields.get("vfsmount", 0)
        op.mnt = vfsmount - self._shift if vfsmount else 0
        op.mntns = inum_of(r)
        op.emit(Kind.PATH_UMOUNT, r.ts_ns, r.cpu, ret=r.fields.get("flags", 0))
        self._describe(op, r)

    def _um_path_exit(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE)
        if op is None:
            return
        op.in_umount = False
        ret = r.fields.get("ret")
        op.emit(Kind.PATH_UMOUNT_EXIT, r.ts_ns, r.cpu, ret=ret or 0)
        if ret is None:  # the exit of the system call has it, if that was traced
            self._unanswered[r.tid] = r
        elif op.by_function:
            self._exit(op, r, ret)

    def _um_exit(self, r: Record) -> None:
        self._unanswered.pop(r.tid, None)
        op = self._busy(r)
        if op is None or op.phase == Phase.TEARDOWN:
            self._out.alone(r, self._lineage.tgid(r.tid), int(r.fields["ret"]))
        elif op.phase == Phase.INSIDE:
            self._exit(op, r, r.fields["ret"])
        elif not op.by_function:  # with by_function, path_umount() has begun and ended it
            self._out.alone(r, self._lineage.tgid(r.tid), int(r.fields["ret"]))

    _um_enter32, _um_name32, _um_exit32 = _um_enter, _um_name, _um_exit

    def _give_up(self, tid: int) -> None:
        """Use the return of path_umount() as the end of the call, if no other record shows that."""
        r, op = self._unanswered.pop(tid, None), self._ops.get(tid)
        if r is not None and op is not None and op.phase == Phase.INSIDE:
            op.emit(Kind.UNSEEN, r.ts_ns, r.cpu, a=int(Unseen.RESULT))
            self._exit(op, r, 0)

    def _exit(self, op: Operation, r: Record, ret: int) -> None:
        # Not before: a check that passed shows that the mount's namespace is that of the task.
        op.settle()
        how = Exit.FROM_PATH if op.by_function else Exit.WHOLE
        op.emit(Kind.EXIT, r.ts_ns, r.cpu, ret=ret, a=how)
        op.phase = Phase.LEAVING
        if ret < 0:
            op.other, waiting = None, op.other
            self._resume(waiting, r.tid)
        else:
            self._end_if_clean(op, r)

    def _um_next(self, r: Record) -> None:
        """End the operation of a task that makes a system call, since it was back in user mode."""
        if self._busy(r, Phase.LEAVING) is not None:
            self._leave(r)

    # ---- the busy check ----

    def _um_check(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE)
        if op is None:
            return
        op.settle(b=op.mntns)
        op.in_check, op.count, op.busy_ns = True, -1, 0
        op.emit(Kind.CHECK, r.ts_ns, r.cpu, mnt=r.fields.get("mnt", 0))

    def _um_checked(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE)
        if op is None or not op.in_check:
            return
        op.in_check = False
        count = UNKNOWN if op.count < 0 else op.count
        op.emit(Kind.CHECKED, r.ts_ns, r.cpu, ret=r.fields.get("ret", 0), a=count, b=op.busy_ns)

    def _um_count(self, r: Record) -> None:
        op = self._busy(r)
        if op is not None:
            op.counted = (r.fields["mnt"], inum_of(r))

    def _um_counted(self, r: Record) -> None:
        op = self._busy(r)
        if op is None:
            return
        count = r.fields["ret"]
        if not op.in_check:
            op.puts += op.in_unlock
            op.finals += count == 0
            if op.counted[0] == op.mnt:
                self._target_counted(op, r, count)
        elif op.counted[0] == op.mnt:
            op.count = count
        elif count > 1:
            op.busy_ns = op.counted[1]

    def _target_counted(self, op: Operation, r: Record, count: int) -> None:
        op.left = count
        if op.file_puts:  # this is that put
            op.file_puts = False
            self._end_if_clean(op, r)

    # ---- umount tree and namespace_unlock ----

    def _um_tree(self, r: Record) -> None:
        op = self._taker(r)
        if op is None:
            return
        op.settle(b=op.mntns)
        how = r.fields.get("how", 0)
        op.connected = bool(how & 4)
        op.roots += 1
        op.emit(Kind.TREE, r.ts_ns, r.cpu, ret=how, mnt=r.fields.get("mnt", 0))

    def _taker(self, r: Record) -> Operation | None:
        """Return the operation of this umount_tree, maybe a new one; None if it is not followed."""
        op = self._busy(r)
        if op is not None and (op.phase == Phase.TEARDOWN or op.in_umount):
            return op
        origin = origin_of(r, self._origin_at)
        inside = op is not None and op.phase == Phase.INSIDE
        if inside and origin in _OF_ITS_OWN:
            return op
        if origin == Origin.UMOUNT:
            return None  # it began before the trace, or its first record is lost
        if op is not None and not op.torn and (inside or op.cleaning):
            new = self._nest(r, op)
        else:
            new = self._open(r, Phase.TEARDOWN)
        if new is not None:
            self._teardown(new, r, origin)
        return new

    def _teardown(self, op: Operation, r: Record, origin: Origin | None) -> None:
        op.mnt, op.origin, op.mntns = r.fields.get("mnt", 0), int(origin or 0), inum_of(r)
        cgroup, comm = self._lineage.cgroup(r.tid), r.fields["comm"][:15]
        op.emit(Kind.TEARDOWN, r.ts_ns, r.cpu, ret=op.origin, a=cgroup, b=op.mntns, comm=comm)
        self._emit_unseen(op, r, Unseen.CALLER if origin is None else Unseen(0))
        if r.ts_ns < self._losing_until:
            op.skip()
        self._describe(op, r)

    def _describe(self, op: Operation, r: Record) -> None:
        if "id" not in r.fields or not op.mnt:
            return
        f = r.fields
        self._out.names += parts(r.ts_ns, r.tid, NameKind.SOURCE, f["source"])
        flags = f["mflags"] | (WALKERS_WATCHED if self._watching else 0)
        op.emit(Kind.MOUNT, r.ts_ns, r.cpu, ret=flags, a=f["id"], b=f["dev"], comm=f["fstype"][:15])

    def _um_private(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is not None and op.roots and not op.in_unlock:
            op.private += 1

    def _um_unlock(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is None:
            return
        op.settle(b=op.mntns if op.in_unlock or op.roots else None)
        op.hold()
        op.in_unlock, op.waited, op.puts = True, False, 0
        op.emit(Kind.UNLOCK, r.ts_ns, r.cpu, a=UNKNOWN)

    def _um_unlock_exit(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is None or not op.in_unlock:
            return
        none = UNKNOWN if self._unseen & Unseen.TREE else 0
        op.settle(a=op.taken_down if op.roots else none)
        op.in_unlock, op.roots, op.private = False, 0, 0
        op.emit(Kind.UNLOCK_EXIT, r.ts_ns, r.cpu)
        if op.phase != Phase.TEARDOWN:
            return
        op.phase = Phase.LEAVING
        # A file that is closed has a reference of its own to the mount, and puts it next.
        op.file_puts = op.origin == Origin.FD_CLOSE and op.left > 0
        if op.nested:
            self._inner_ends(op, r)
        elif op.origin == Origin.EXPIRE:  # by a kernel thread, which has no task work
            self._end(op, r, Returned.KTHREAD)
        else:
            self._end_if_clean(op, r)

    # ---- the grace period ----

    def _um_rcu(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is not None and op.in_unlock:
            op.in_rcu = True
            op.grace_period = GracePeriod.UNKNOWN  # until a function shows the kind
            op.emit(Kind.RCU, r.ts_ns, r.cpu)

    def _um_rcu_exit(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is not None and op.in_unlock:
            op.in_rcu, op.waited = False, True
            op.emit(Kind.RCU_EXIT, r.ts_ns, r.cpu, ret=op.grace_period)

    def _um_joined(self, r: Record) -> None:
        op = self._busy(r)
        if op is not None and op.in_rcu:
            op.grace_period = GracePeriod.JOINED if r.fields["ret"] else GracePeriod.OWN

    def _um_normal(self, r: Record) -> None:
        op = self._busy(r)
        if op is not None and op.in_rcu:
            op.grace_period = GracePeriod.NORMAL

    def _um_normal_exit(self, r: Record) -> None:
        """Ignore it, since the entry has shown the kind of grace period."""

    _um_normal0 = _um_normal1 = _um_normal2 = _um_normal
    _um_normal0_exit = _um_normal1_exit = _um_normal2_exit = _um_normal_exit

    # ---- the end of a mount ----

    def _um_last(self, r: Record) -> None:
        op = self._busy(r, Phase.INSIDE, Phase.TEARDOWN)
        if op is not None and op.waited and not op.cleaning:
            op.finals_seen += 1

    def _um_cleanup(self, r: Record) -> None:
        op = self._ops.get(r.tid)
        ret, mnt = r.fields.get("mflags", 0), r.fields.get("mnt", 0)
        if op is not None and mnt == op.mnt:
            ret |= IS_TARGET
        a, b = r.fields.get("active", 0), r.fields.get("dev", 0)
        comm = r.fields["comm"][:15]
        if op is None:
            self._foreign.setdefault(r.tid, []).append((mnt, comm))
            self._emit_foreign(r, Kind.CLEANUP, mnt, ret, a, b, comm)
        else:
            op.cleaning.append(mnt)
            op.emit(Kind.CLEANUP, r.ts_ns, r.cpu, ret=ret, a=a, b=b, mnt=mnt, comm=comm)

    def _um_cleanup_exit(self, r: Record) -> None:
        op = self._ops.get(r.tid)
        if op is not None and op.nested and op.phase == Phase.TEARDOWN:
            self._cut_short(op, r)  # the end of its namespace_unlock() was not seen
            op = self._ops.get(r.tid)
        if op is not None and op.cleaning:
            op.emit(Kind.CLEANUP_EXIT, r.ts_ns, r.cpu, mnt=op.cleaning.pop())
            op.cleaned += 1
            if op.phase == Phase.LEAVING:
                self._end_if_clean(op, r)
            return
        cleaning = self._foreign.get(r.tid)
        if cleaning:
            mnt, comm = cleaning.pop()
            self._emit_foreign(r, Kind.CLEANUP_EXIT, mnt, 0, 0, 0, comm)
            if not cleaning:
                del self._foreign[r.tid]
