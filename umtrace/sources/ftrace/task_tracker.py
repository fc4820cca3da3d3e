"""Keeps the process, the cgroup and the name of each task, from its birth on.

An event has the id of its task only, and when it is read the task may have exited. So the tasks of
the host are listed once, and from then on births, deaths, moves between cgroups and new names are
traced, too. If such records are lost, everything is forgotten until the tasks are listed again, so
that what is known of a task is never a guess.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.tasks import Task

EVENTS = ("task:task_newtask", "sched:sched_process_exit", "cgroup:cgroup_attach_task")
NAMING = "task:task_rename"  #: also traced where no other event has the name of a task
#: what is unknown without an event
LOST_WITHOUT = {
    "task:task_newtask": "pid, cgroup_id, container of tasks that begin while tracing",
    "sched:sched_process_exit": "ns-exit",
    "cgroup:cgroup_attach_task": "cgroup_id, container",
    NAMING: "comm",
}
_LIVES = frozenset({"task_newtask", "sched_process_exit"})
_CLONE_THREAD = 0x10000
_CLONE_INTO_CGROUP = 0x200000000
_NEVER = 1 << 64
_LEAST_PAUSE_NS = 1_000_000_000
_PAUSES = 20  # to list the tasks takes at most a twentieth of the time, however much is lost


class TaskTracker:
    """Takes the records of EVENTS, sorted by time.

    Parameters
    ----------
    list_tasks : callable, optional
        Returns all tasks of the host. Without it (for a trace by another tool), a task that is
        in no record counts as a process of its own.
    clock : callable
        The clock of the records, ns.
    without : collection of str
        Events that are not traced: what only they show is unknown.

    Attributes
    ----------
    due_ns : int
        Call ``settle`` before the first record of this time or later.
    """

    def __init__(
        self,
        list_tasks: Callable[[], Collection[Task]] | None = None,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        without: Collection[str] = (),
    ) -> None:
        # Task ids are used again, so without births and deaths an id may belong to any task.
        self._list_tasks = (lambda: ()) if set(without) >= _LIVES else list_tasks
        self._clock = clock
        self._moves_seen = "cgroup_attach_task" not in without
        self._names_seen = "task_rename" not in without
        self._leader: dict[int, int] = {}
        self._cgroup: dict[int, int] = {}
        self._comm: dict[int, bytes] = {}
        self._found: Collection[Task] = ()
        self._found_ns = 0  # when listing them began
        self.due_ns = _NEVER
        self._stale = False
        self._next_read_ns = 0
        self._blind_until = 0

    def read_tasks(self) -> None:
        """List all tasks; call it once births, and names if wanted, are traced.

        The result is valid for records from after the list was made.
        """
        if self._list_tasks is None:
            return
        self._found_ns = self._clock()
        self._found = self._list_tasks()
        self.due_ns = self._clock()
        self._stale = False
        pause = max(_LEAST_PAUSE_NS, _PAUSES * (self.due_ns - self._found_ns))
        self._next_read_ns = self.due_ns + pause

    def settle(self) -> None:
        """Take over what was found, except where a record has shown it since."""
        for task in self._found:
            self._leader.setdefault(task.tid, task.tgid)
            if task.cgroup:
                self._cgroup.setdefault(task.tid, task.cgroup)
            if task.comm:
                self._comm.setdefault(task.tid, task.comm)
        self._found, self.due_ns = (), _NEVER

    def lose(self, until_ns: int) -> None:
        """Forget everything, since records up to then are missing, of any task."""
        self._blind_until = max(self._blind_until, until_ns)
        for known in (self._leader, self._cgroup, self._comm):
            known.clear()
        if self._found_ns < until_ns or self.due_ns == _NEVER:
            self._found, self.due_ns, self._stale = (), _NEVER, True

    def refresh(self) -> None:
        """List the tasks again if something was lost, but not too often."""
        if self._stale and self._clock() >= self._next_read_ns:
            self.read_tasks()

    def tgid(self, tid: int) -> int:
        """Return the process of a task, 0 if it is not known."""
        return self._leader.get(tid, 0 if self._list_tasks else tid)

    def cgroup(self, tid: int) -> int:
        """Return the cgroup v2 id of a task, 0 if it is not known."""
        return self._cgroup.get(tid, 0) if self._moves_seen else 0

    def comm(self, tid: int) -> bytes:
        """Return the name of a task; empty if it is not known."""
        return self._comm.get(tid, b"") if self._names_seen else b""

    def see(self, record: Record) -> None:
        """Take the record of a birth, a death, a move, or a new name."""
        tid = record.fields.get("pid", record.tid)
        if record.ts_ns < self._blind_until:
            return  # a later change may be among the lost records
        if record.name == "task_newtask":
            self._born(tid, record.tid, record.fields["clone_flags"])
            self._comm[tid] = _name(record.fields.get("comm", b""))
        elif record.name == "task_rename":
            self._rename(record)
        elif record.name == "sched_process_exit":
            for known in (self._leader, self._cgroup, self._comm):
                known.pop(tid, None)
        elif record.fields["dst_root"] == 0:
            moved = [tid, *(t for t, leader in self._leader.items() if leader == tid)]
            self._cgroup.update(dict.fromkeys(moved, record.fields["dst_id"]))

    def _rename(self, record: Record) -> None:
        """Take a new name. From 6.18.0 to 6.18.15 the event has no id of the renamed task.

        It is the running task, unless that had another name than the one that is replaced. Then it
        is a thread of the same process, and which one is unknown.
        """
        tid, name = record.fields.get("pid"), _name(record.fields["newcomm"])
        if tid is not None:
            self._comm[tid] = name
            return
        tid, old = record.tid, _name(record.fields.get("oldcomm", b""))
        if not old or self._comm.get(tid, old) == old:
            self._comm[tid] = name
            return
        process = self._leader.get(tid)
        for thread in [t for t, comm in self._comm.items() if comm == old]:
            if self._leader.get(thread) in (process, None):
                del self._comm[thread]

    def _born(self, tid: int, parent: int, flags: int) -> None:
        leader = self.tgid(parent) if flags & _CLONE_THREAD else tid
        self._leader.pop(tid, None)
        if leader:
            self._leader[tid] = leader
        self._cgroup.pop(tid, None)
        if parent in self._cgroup and not flags & _CLONE_INTO_CGROUP:
            self._cgroup[tid] = self._cgroup[parent]


def _name(comm: bytes) -> bytes:
    return comm.partition(b"\0")[0]
