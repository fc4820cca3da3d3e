"""The open operations, by task: begins them, ends them, and marks them where a record is missing.

A task can be in two operations at once (docs/events.md): cleanup_mnt may put the last reference to
a mount namespace. One of the two waits: the outer one while the inner one takes mounts down, then
the inner one until the outer one has cleaned up its mounts.
"""

from __future__ import annotations

from umtrace.model.events import Kind, Returned, Unseen
from umtrace.sources.ftrace.batches import Batches
from umtrace.sources.ftrace.operation import Operation, Phase
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker


class OpenOperations:
    """The base of a translator of function events, which has a handler for each record.

    Attributes
    ----------
    not_followed : int
        Operations that began while their task was in two operations already.
    """

    def __init__(self, lineage: TaskTracker, unseen: Unseen, *, counts: bool) -> None:
        self._lineage = lineage
        self._unseen = unseen
        self._counts = counts
        self._ops: dict[int, Operation] = {}
        #: by task, the return of a path_umount() without its return value
        self._unanswered: dict[int, Record] = {}
        self._out = Batches()
        self._lost_lately = False
        self._losing_until = 0
        self.not_followed = 0

    def lose(self, until_ns: int) -> None:
        """Mark every open operation, and those that begin before ``until_ns``.

        The gap is of one CPU, but any task may have been on that CPU meanwhile.
        """
        self._lost_lately = True
        self._losing_until = max(self._losing_until, until_ns)
        self._lineage.lose(until_ns)
        for current in self._ops.values():
            for op in current.both:
                op.skip()
                op.torn = True

    def _life(self, record: Record) -> None:
        if record.name == "sched_process_exit":
            op = self._ops.get(record.fields.get("pid", record.tid))
            if op is not None and op.phase == Phase.LEAVING:
                self._end(op, record, Returned.DEATH)
            elif op is not None and op.phase == Phase.INSIDE:
                self._end_waiting(op, record, Returned.DEATH)
                op.settle()
                op.emit(Kind.DEAD, record.ts_ns, record.cpu)
                del self._ops[op.tid]
        self._lineage.see(record)

    def _open(self, r: Record, phase: Phase) -> Operation:
        self._leave(r)
        return self._begin(r, phase)

    def _begin(self, r: Record, phase: Phase) -> Operation:
        op = Operation(
            r.tid, self._lineage.tgid(r.tid), phase, r.ts_ns & 0xFFFFFFFF, self._out.events
        )
        self._ops[r.tid] = op
        return op

    def _nest(self, r: Record, outer: Operation) -> Operation | None:
        """Begin an operation inside another one; if that is the third, mark it and return None."""
        if outer.nested or outer.other is not None:
            # Only last references could show which mounts of the three are cleaned up later.
            for op in outer.both if not outer.puts else (outer,):
                op.skip()
            self.not_followed += 1
            return None
        inner = self._begin(r, Phase.TEARDOWN)
        inner.nested, inner.other = True, outer
        return inner

    def _inner_ends(self, inner: Operation, r: Record) -> None:
        """Resume the outer one: the inner one has put its mounts, and may have to clean up some."""
        outer, inner.other = inner.other, None
        if self._counts and inner.is_clean:
            inner.settle()
            inner.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.CLEANED)
        elif outer is not None:
            outer.other = inner
        self._resume(outer, r.tid)

    def _resume(self, op: Operation | None, tid: int) -> None:
        """Make this the current operation of the task; None if there is none any more."""
        if op is None:
            del self._ops[tid]
        else:
            self._ops[tid] = op

    def _leave(self, r: Record) -> None:
        """End the task's operation: it does something else, so it was back in user mode."""
        op = self._ops.get(r.tid)
        if op is None:
            return
        if op.phase == Phase.LEAVING:
            self._end(op, r, Returned.SYSCALL)
            return
        if op.nested:
            self._cut_short(op, r)
            self._leave(r)
            return
        self._end_waiting(op, r, Returned.SYSCALL)
        op.settle()
        del self._ops[r.tid]

    def _cut_short(self, inner: Operation, r: Record) -> None:
        """End and mark an inner operation, the end of which was not seen; resume the outer one."""
        inner.settle()
        inner.skip()
        inner.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.SYSCALL)
        outer, inner.other = inner.other, None
        self._resume(outer, r.tid)

    def _end_if_clean(self, op: Operation, r: Record) -> None:
        """End it if its task has cleaned up all mounts of which it dropped the last reference."""
        op.last = r
        if op.cleaning or (self._counts and not op.is_clean):
            return
        inner = None if op.nested or not self._counts else op.other
        if inner is not None:  # what is cleaned up from now on belongs to the inner one
            op.other, inner.other, inner.last = None, op, r
            self._resume(inner, op.tid)
        elif self._counts:
            self._end(op, r, Returned.CLEANED)

    def _end(self, op: Operation, r: Record, why: Returned) -> None:
        """End the task's operation; an outer one ends with the last record of its inner one."""
        if op.nested and op.last is not None:
            self._end_waiting(op, op.last, Returned.OUTER)
        self._end_waiting(op, r, why)
        op.settle()
        op.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=why)
        del self._ops[op.tid]

    def _end_waiting(self, op: Operation, r: Record, why: Returned) -> None:
        """If the task is in two operations, end the one that waits."""
        waiting, op.other = op.other, None
        if waiting is None:
            return
        waiting.settle()
        if waiting.phase != Phase.LEAVING:
            waiting.skip()
        waiting.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=why)

    def _emit_unseen(self, op: Operation, r: Record, also: Unseen) -> None:
        """Emit, as its second event, what no record of this operation will show."""
        if op.nested and not self._counts:  # which of the two a later cleanup belongs to is unknown
            also |= Unseen.CLEANUP
        unseen = int(self._unseen | also)
        if unseen:
            op.emit(Kind.UNSEEN, r.ts_ns, r.cpu, a=unseen)

    def _busy(self, r: Record, *phases: Phase) -> Operation | None:
        op = self._ops.get(r.tid)
        return op if op is not None and (op.phase in phases or not phases) else None
