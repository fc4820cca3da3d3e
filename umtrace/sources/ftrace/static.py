"""Translates records of tracepoints to the events of ``bpf/event.h``.

It does in Python what the BPF programs of the tracepoint tier do, without what tracefs does not
show: the mount namespace of a task, and before 7.0 the path of an umount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from umtrace.model.events import EventBatch, Kind, NameKind, OnStack, Returned
from umtrace.sources.ftrace.batches import Batches, parts, whole
from umtrace.sources.ftrace.drain import LOST_GATED
from umtrace.sources.ftrace.operation import Operation, Phase
from umtrace.sources.ftrace.records import LOST, STACK, Record
from umtrace.sources.ftrace.task_tracker import TaskTracker

_GONE = frozenset({16, 32})  # EXIT_DEAD, EXIT_ZOMBIE as sched_switch reports them
_DOWN = int(OnStack.PUT_NS | OnStack.UNLOCK)
_UNINTERRUPTIBLE = 2


@dataclass(slots=True)
class Waiting:
    """The waits of one operation; they are emitted at its end, if the end of each is known."""

    spans: list[tuple[int, int, int, int]] = field(default_factory=list)  # from, to, bits, cpu
    since: tuple[int, int, int] | None = None  # from, bits, cpu
    torn: bool = False  #: the end of one is unknown, so none is emitted


class StaticTranslator:
    """Takes records sorted by time; deterministic."""

    def __init__(self, lineage: TaskTracker) -> None:
        self._lineage = lineage
        self._out = Batches()
        self._ops: dict[int, Operation] = {}
        self._waiting: dict[int, Waiting] = {}
        self._exiting: dict[int, tuple[int, int, bytes]] = {}  # process, cgroup, name
        self._losing_until = 0
        self._losing_gated_until = 0
        self.opened = False  #: umounts began or ended since this was last reset
        #: the time in which the gate may have been closed during an umount, from and to
        self.shut_ns = (0, 0)
        self._handlers: dict[str, Callable[[Record], None]] = {
            "sys_enter_umount": self._enter,
            "sys_exit_umount": self._exit,
            "sys_enter": self._next,
            "sched_switch": self._switch,
            "sched_process_exit": self._exits,
            STACK: self._sleeps,
            LOST: self._lose,
            LOST_GATED: self._lose_gated,
        }

    @property
    def following(self) -> set[int]:
        """The tasks of which context switches and system calls are needed."""
        return set(self._ops) | set(self._exiting)

    @property
    def busy(self) -> bool:
        """Whether any task is in an umount, or on the way out of one."""
        return any(op.phase != Phase.TEARDOWN for op in self._ops.values())

    def feed(self, records: Iterable[Record]) -> EventBatch:
        """Translate records; the waits of an operation are emitted at its end."""
        for record in records:
            if record.ts_ns >= self._lineage.due_ns:
                self._lineage.settle()
            self._handlers.get(record.name, self._lineage.see)(record)
        return self._out.take()

    # ---- umount(2) ----

    def _open(self, r: Record, phase: Phase, tgid: int) -> Operation:
        self._leave(r)
        op = Operation(r.tid, tgid, phase, r.ts_ns & 0xFFFFFFFF, self._out.events)
        self._ops[r.tid], self._waiting[r.tid] = op, Waiting()
        return op

    def _drop(self, op: Operation) -> None:
        del self._ops[op.tid], self._waiting[op.tid]

    def _leave(self, r: Record) -> None:
        """End the task's operation: it does something else, so it was back in user mode."""
        op = self._ops.get(r.tid)
        if op is None:
            return
        if op.phase == Phase.LEAVING:
            op.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.SYSCALL)
        self._drop(op)

    def _enter(self, r: Record) -> None:
        self.opened = True
        op = self._open(r, Phase.INSIDE, self._lineage.tgid(r.tid))
        path = whole(r.fields.get("__name_val", b""))
        if path:  # since 7.0 the kernel reads what the pointer points to
            self._out.names += parts(r.ts_ns, r.tid, NameKind.PATH, path)
        cgroup, comm = self._lineage.cgroup(r.tid), self._lineage.comm(r.tid)[:15]
        flags = r.fields["flags"] & 0xFFFFFFFF
        op.emit(Kind.ENTER, r.ts_ns, r.cpu, ret=flags, a=cgroup, comm=comm)
        self._waiting[r.tid].torn = self._unwatched(r)
        if r.ts_ns < self._losing_until:
            op.skip()

    def _unwatched(self, r: Record) -> bool:
        """Whether context switches and system calls may have been missed at that time."""
        shut = self.shut_ns[0] <= r.ts_ns <= self.shut_ns[1]
        return shut or r.ts_ns < self._losing_gated_until

    def _exit(self, r: Record) -> None:
        self.opened = True
        op, ret = self._ops.get(r.tid), r.fields["ret"]
        if op is None or op.phase != Phase.INSIDE:
            self._out.alone(r, self._lineage.tgid(r.tid), ret)
            return
        self._emit_waits(op)
        op.emit(Kind.EXIT, r.ts_ns, r.cpu, ret=ret & 0xFFFFFFFF)
        op.phase = Phase.LEAVING
        if ret < 0:
            self._drop(op)
        elif self._unwatched(r):
            op.skip()  # its next system call may be missed

    def _next(self, r: Record) -> None:
        op = self._ops.get(r.tid)
        if op is not None and op.phase == Phase.LEAVING:
            self._leave(r)

    # ---- waits ----

    def _sleeps(self, r: Record) -> None:
        on_stack = r.fields["on_stack"]
        op = self._ops.get(r.tid)
        if op is None and r.tid in self._exiting and on_stack & _DOWN:
            op = self._namespace_goes(r)
        if op is None:
            return
        if op.phase != Phase.LEAVING:
            waiting = self._waiting[op.tid]
            waiting.torn |= waiting.since is not None
            waiting.since = r.ts_ns, on_stack, r.cpu
        elif on_stack & OnStack.TASK_WORK and not op.cleaned:
            op.cleaned = 1
            bits = int(OnStack.TASK_WORK)
            op.emit(Kind.OFF_CPU, r.ts_ns, r.cpu, ret=_UNINTERRUPTIBLE, a=bits)

    def _switch(self, r: Record) -> None:
        waiting = self._waiting.get(r.fields["next_pid"])
        if waiting is not None and waiting.since is not None:
            begin, on_stack, cpu = waiting.since
            waiting.torn |= r.ts_ns < begin  # it belongs to an earlier wait, and was read late
            waiting.spans.append((begin, r.ts_ns, on_stack, cpu))
            waiting.since = None
        if r.fields["prev_state"] & 0xFF in _GONE:
            self._gone(r)

    def _emit_waits(self, op: Operation) -> None:
        """Emit all waits or none, since a sum without one of them would be wrong, not unknown."""
        waiting = self._waiting[op.tid]
        if waiting.torn or waiting.since is not None:
            return
        for begin, end, on_stack, cpu in waiting.spans:
            op.emit(Kind.OFF_CPU, begin, cpu, ret=_UNINTERRUPTIBLE, a=on_stack)
            op.emit(Kind.ON_CPU, end, cpu)

    # ---- tasks that end ----

    def _exits(self, r: Record) -> None:
        tid = r.fields.get("pid", r.tid)
        lineage = self._lineage
        self._exiting[tid] = lineage.tgid(tid), lineage.cgroup(tid), lineage.comm(tid)
        op = self._ops.get(tid)
        if op is not None and op.phase == Phase.LEAVING:
            op.emit(Kind.RETURNED, r.ts_ns, r.cpu, a=Returned.DEATH)
            self._drop(op)
        lineage.see(r)

    def _namespace_goes(self, r: Record) -> Operation:
        tgid, cgroup, comm = self._exiting[r.tid]
        op = self._open(r, Phase.TEARDOWN, tgid)
        op.emit(Kind.NS_EXIT, r.ts_ns, r.cpu, ret=0xFFFFFFFF, a=cgroup, comm=comm[:15])
        return op

    def _gone(self, r: Record) -> None:
        tid = r.fields["prev_pid"]
        self._exiting.pop(tid, None)
        op = self._ops.get(tid)
        if op is not None:
            self._emit_waits(op)
            op.emit(Kind.DEAD, r.ts_ns, r.cpu)
            self._drop(op)

    # ---- losses ----

    def _lose(self, r: Record) -> None:
        self.lose(r.fields["until"])

    def lose(self, until_ns: int) -> None:
        """Mark every open operation, and those that begin before ``until_ns``.

        What was known of tasks is forgotten, since a task id may belong to another task by now.
        """
        self._losing_until = max(self._losing_until, until_ns)
        self._lineage.lose(until_ns)
        self._exiting = dict.fromkeys(self._exiting, (0, 0, b""))
        for op in self._ops.values():
            op.skip()

    def _lose_gated(self, r: Record) -> None:
        """Mark as unknown the waits of umounts that go on, and the end of those that leave."""
        self._losing_gated_until = max(self._losing_gated_until, r.fields["until"])
        for op in self._ops.values():
            if op.phase == Phase.LEAVING:
                op.skip()
            else:
                self._waiting[op.tid].torn = True
