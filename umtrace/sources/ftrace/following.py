"""The operations under way, by task: opened, ended, or marked where a record is missing."""

from __future__ import annotations

from umtrace.records.events import Kind, Returned, Unseen
from umtrace.sources.ftrace.batches import Batches
from umtrace.sources.ftrace.lineage import Lineage
from umtrace.sources.ftrace.operation import Operation, Phase
from umtrace.sources.ftrace.records import Record


class Following:
    """What a translator of function events builds on; it gives each record its meaning."""

    def __init__(self, lineage: Lineage, unseen: Unseen) -> None:
        self._lineage = lineage
        self._unseen = unseen
        self._ops: dict[int, Operation] = {}
        #: by task, the return of a path_umount() that does not say what it returned
        self._unanswered: dict[int, Record] = {}
        self._out = Batches()
        self._lost_lately = False
        self._losing_until = 0

    def lose(self, until_ns: int) -> None:
        """Mark every operation under way, and those that begin before ``until_ns``.

        The gap is of one CPU, but a task may have been there for any part of it.
        """
        self._lost_lately = True
        self._losing_until = max(self._losing_until, until_ns)
        self._lineage.lose(until_ns)
        for op in self._ops.values():
            op.skip()

    def _life(self, record: Record) -> None:
        if record.name == "sched_process_exit":
            op = self._ops.get(record.fields.get("pid", record.tid))
            if op is not None and op.phase == Phase.LEAVING:
                self._end(op, record, Returned.DEATH)
            elif op is not None and op.phase == Phase.INSIDE:
                op.settle()
                op.tell(Kind.DEAD, record.ts_ns, record.cpu)
                del self._ops[op.tid]
        self._lineage.see(record)

    def _open(self, r: Record, phase: Phase) -> Operation:
        self._leave(r)
        op = Operation(
            r.tid, self._lineage.tgid(r.tid), phase, r.ts_ns & 0xFFFFFFFF, self._out.events
        )
        self._ops[r.tid] = op
        return op

    def _leave(self, r: Record) -> None:
        """End what the task was in: it does something else, so it was back in user mode."""
        op = self._ops.get(r.tid)
        if op is None:
            return
        if op.phase == Phase.LEAVING:
            self._end(op, r, Returned.SYSCALL)
        else:
            op.settle()
            del self._ops[r.tid]

    def _end(self, op: Operation, r: Record, why: Returned) -> None:
        op.settle()
        op.tell(Kind.RETURNED, r.ts_ns, r.cpu, a=why)
        del self._ops[op.tid]

    def _say_unseen(self, op: Operation, r: Record, also: Unseen) -> None:
        """Say what no record of this operation will show; second of its events."""
        unseen = int(self._unseen | also)
        if unseen:
            op.tell(Kind.UNSEEN, r.ts_ns, r.cpu, a=unseen)

    def _busy(self, r: Record, *phases: Phase) -> Operation | None:
        op = self._ops.get(r.tid)
        return op if op is not None and (op.phase in phases or not phases) else None
