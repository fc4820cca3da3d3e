"""Which process and which cgroup a task belongs to, and its name, followed from its birth.

An event says which task it is of and no more, and by the time it is read the task may be
gone. So the tasks there are get looked up, and from then on births, deaths, moves
between cgroups and other names are traced themselves. Where such records are lost all is
forgotten, until the tasks have been looked up again: what is said of a task is never a guess.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from umtrace.sources.ftrace.records import Record
from umtrace.sources.ftrace.tasks import Task

EVENTS = ("task:task_newtask", "sched:sched_process_exit", "cgroup:cgroup_attach_task")
NAMING = "task:task_rename"  #: traced too where no other event says the name of a task
#: what is unknown where an event cannot be had
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
_PAUSES = 20  # a look takes at most a twentieth of the time, however much is lost


class TaskTracker:
    """Fed with the records of EVENTS in the order of time.

    Parameters
    ----------
    look : callable, optional
        Returns the tasks there are. Without it a task of which no record tells more counts
        as a process of its own (a trace that somebody else took).
    clock : callable
        The clock of the records, ns.
    without : collection of str
        Events that are not traced: what only they show changing is unknown.

    Attributes
    ----------
    due_ns : int
        Call ``settle`` before the first record of this time or later.
    """

    def __init__(
        self,
        look: Callable[[], Collection[Task]] | None = None,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        without: Collection[str] = (),
    ) -> None:
        # A number is used again: with neither births nor deaths it may be anybody's.
        self._look = (lambda: ()) if set(without) >= _LIVES else look
        self._clock = clock
        self._moves_seen = "cgroup_attach_task" not in without
        self._names_seen = "task_rename" not in without
        self._leader: dict[int, int] = {}
        self._cgroup: dict[int, int] = {}
        self._comm: dict[int, bytes] = {}
        self._found: Collection[Task] = ()
        self._found_ns = 0  # when the look for them began
        self.due_ns = _NEVER
        self._stale = False
        self._next_look_ns = 0
        self._blind_until = 0

    def look(self) -> None:
        """Look up the tasks there are; call it once births, and names if wanted, are traced.

        What is found holds for what happens after it was found.
        """
        if self._look is None:
            return
        self._found_ns = self._clock()
        self._found = self._look()
        self.due_ns = self._clock()
        self._stale = False
        pause = max(_LEAST_PAUSE_NS, _PAUSES * (self.due_ns - self._found_ns))
        self._next_look_ns = self.due_ns + pause

    def settle(self) -> None:
        """Take over what was found, but for what a record has told since."""
        for task in self._found:
            self._leader.setdefault(task.tid, task.tgid)
            if task.cgroup:
                self._cgroup.setdefault(task.tid, task.cgroup)
            if task.comm:
                self._comm.setdefault(task.tid, task.comm)
        self._found, self.due_ns = (), _NEVER

    def lose(self, until_ns: int) -> None:
        """Forget everything: records up to then are missing, of whatever task."""
        self._blind_until = max(self._blind_until, until_ns)
        for known in (self._leader, self._cgroup, self._comm):
            known.clear()
        if self._found_ns < until_ns or self.due_ns == _NEVER:
            self._found, self.due_ns, self._stale = (), _NEVER, True

    def refresh(self) -> None:
        """Look again if something was lost, and not too often."""
        if self._stale and self._clock() >= self._next_look_ns:
            self.look()

    def tgid(self, tid: int) -> int:
        """Return the process of a task, 0 if it is not known."""
        return self._leader.get(tid, 0 if self._look else tid)

    def cgroup(self, tid: int) -> int:
        """Return the cgroup v2 id of a task, 0 if it is not known."""
        return self._cgroup.get(tid, 0) if self._moves_seen else 0

    def comm(self, tid: int) -> bytes:
        """Return the name of a task; empty if it is not known."""
        return self._comm.get(tid, b"") if self._names_seen else b""

    def see(self, record: Record) -> None:
        """Take in a birth, a death, a move, or another name."""
        tid = record.fields.get("pid", record.tid)
        if record.ts_ns < self._blind_until:
            return  # what came after it may be lost
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
        """Take in a name. From 6.18.0 to 6.18.15 the event does not say which task has it.

        It is the one that runs, unless its name was another than the one that is replaced:
        then a thread of the same process got it, and which one is unknown.
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
