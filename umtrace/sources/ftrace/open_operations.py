"""The operations under way, by task: opened, ended, or marked where a record is missing.

A task can be in two at once (docs/events.md): what cleanup_mnt puts may be the last reference
to a mount namespace. The one that is not at work waits with the other: the outer one while
the inner one takes mounts down, then the inner one until the outer one's own mounts are clean.
"""

from __future__ import annotations

from umtrace.model.events import Kind, Returned, Unseen
from umtrace.sources.ftrace.batches import Batches
from umtrace.sources.ftrace.operation import Operation, Phase
from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.task_tracker import TaskTracker


class OpenOperations:
    """What a translator of function events builds on; it gives each record its meaning.

    Attributes
    ----------
    not_followed : int
        Operations that began while their task was in two already.
    """

    def __init__(self, lineage: TaskTracker, unseen: Unseen, *, counts: bool) -> None:
        self._lineage = lineage
        self._unseen = unseen
        self._counts = counts
        self._ops: dict[int, Operation] = {}
        #: by task, the return of a path_umount() that does not say what it returned
        self._unanswered: dict[int, Record] = {}
        self._out = Batches()
        self._lost_lately = False
        self._losing_until = 0
        self.not_followed = 0

    def lose(self, until_ns: int) -> None:
        """Mark every operation under way, and those that begin before ``until_ns``.

        The gap is of one CPU, but a task may have been there for any part of it.
        """
        self._lost_lately = True
        self._losing_until = max(self._losing_until, until_ns)
        self._lineage.lose(until_ns)
        for at_work in self._ops.values():
            for op in at_work.both:
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
        """Begin an operation inside that of the task; None, and a mark, if there are two."""
        if outer.nested or outer.other is not None:
            # What it leaves to clean up is told from theirs by last references alone.
            for op in outer.both if not outer.puts else (outer,):
                op.skip()
            self.not_followed += 1
            return None
        inner = self._begin(r, Phase.TEARDOWN)
        inner.nested, inner.other = True, outer
        return inner

    def _inner_ends(self, inner: Operation, r: Record) -> None:
        """Let the outer one go on: the inner one has put its mounts, and may have to clean up."""
        outer, inner.other = inner.other, None
        if self._counts and inner.is_clean:
            inner.settle()
            inner.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.CLEANED)
        elif outer is not None:
            outer.other = inner
        self._resume(outer, r.tid)

    def _resume(self, op: Operation | None, tid: int) -> None:
        """Let this one be at work; None for none."""
        if op is None:
            del self._ops[tid]
        else:
            self._ops[tid] = op

    def _leave(self, r: Record) -> None:
        """End what the task was in: it does something else, so it was back in user mode."""
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
        """End and mark an inner one whose end was not seen; the outer one goes on."""
        inner.settle()
        inner.skip()
        inner.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.SYSCALL)
        outer, inner.other = inner.other, None
        self._resume(outer, r.tid)

    def _end_if_clean(self, op: Operation, r: Record) -> None:
        """End it once its task has cleaned up what it dropped last references of."""
        op.last = r
        if op.cleaning or (self._counts and not op.is_clean):
            return
        inner = None if op.nested or not self._counts else op.other
        if inner is not None:  # whatever comes now is what the inner one took down
            op.other, inner.other, inner.last = None, op, r
            self._resume(inner, op.tid)
        elif self._counts:
            self._end(op, r, Returned.CLEANED)

    def _end(self, op: Operation, r: Record, why: Returned) -> None:
        """End what the task is in; an outer one is over with the last that its inner one did."""
        if op.nested and op.last is not None:
            self._end_waiting(op, op.last, Returned.OUTER)
        self._end_waiting(op, r, why)
        op.settle()
        op.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=why)
        del self._ops[op.tid]

    def _end_waiting(self, op: Operation, r: Record, why: Returned) -> None:
        """End the one of the two that is not at work, if there is one."""
        waiting, op.other = op.other, None
        if waiting is None:
            return
        waiting.settle()
        if waiting.phase != Phase.LEAVING:
            waiting.skip()
        waiting.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=why)

    def _say_unseen(self, op: Operation, r: Record, also: Unseen) -> None:
        """Say what no record of this operation will show; second of its events."""
        if op.nested and not self._counts:  # nothing tells whose mounts are cleaned up later
            also |= Unseen.CLEANUP
        unseen = int(self._unseen | also)
        if unseen:
            op.emit(Kind.UNSEEN, r.ts_ns, r.cpu, a=unseen)

    def _busy(self, r: Record, *phases: Phase) -> Operation | None:
        op = self._ops.get(r.tid)
        return op if op is not None and (op.phase in phases or not phases) else None
