"""A trace by another tool as a source: ftrace text, or a file of ``trace-cmd record``.

It reads function_graph, plain function entries, kprobe-like returns (``<- name``) and the events of
the umount system call, as tracefs and ``trace-cmd report`` print them. A text has no addresses, so
mounts have no identity, and the task of the last put is the one that ran cleanup_mnt().
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from umtrace.model.clock import ClockPair
from umtrace.model.errors import DamagedInputError
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.sources.ftrace.batches import whole
from umtrace.sources.ftrace.lines import lines_of, open_trace
from umtrace.sources.ftrace.records import LOST, Record
from umtrace.sources.ftrace.sorting import SortedRecords
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.tasks import Task
from umtrace.sources.ftrace.translate import Translator
from umtrace.sources.ftrace.unseen import unseen_of

#: function -> its records: at entry, at return
FUNCTIONS = {
    "path_umount": ("um_path", "um_path_exit"),
    "umount_tree": ("um_tree", ""),
    "namespace_unlock": ("um_unlock", "um_unlock_exit"),
    "synchronize_rcu_expedited": ("um_rcu", "um_rcu_exit"),
    "synchronize_rcu_normal": ("um_normal0", "um_normal0_exit"),
    "__wait_rcu_gp": ("um_normal2", "um_normal2_exit"),
    "propagate_mount_busy": ("um_check", "um_checked"),
    "cleanup_mnt": ("um_cleanup", "um_cleanup_exit"),
}
#: records that give a row, or a part of one
_TELLING = {"um_enter", "um_exit", *(name for pair in FUNCTIONS.values() for name in pair)}
# A line with a number that no kernel prints is not part of a trace: it would not fit an event.
_SECONDS, _CPU = r"(?P<s>\d{1,9})\.(?P<frac>\d{6,9})", r"(?P<cpu>\d{1,4})"
_LINE = re.compile(
    rf"^\s*(?P<comm>.{{1,16}})-(?P<tid>\d{{1,10}})\s+(?:\((?:\s*(?P<tgid>\d{{1,10}})|[\s\d-]+)\)\s+)?\[{_CPU}\]\s+"
    rf"(?:[^\s:]{{4,6}}\s+)?{_SECONDS}:\s+(?P<what>.*)$"
)
_GRAPH = re.compile(
    rf"^\s*{_SECONDS}\s*\|\s*{_CPU}\)\s*(?P<comm>.{{1,16}})-(?P<tid>\d{{1,10}})\s*\|(?P<what>.*)$"
)
_CALL = re.compile(r"(?<![\d.])(?P<us>\d{1,12}(?:\.\d{1,9})?) us\s*\|\s*(?P<name>[\w.]+)\(\);")
_OPEN = re.compile(r"\|\s*(?P<name>[\w.]+)\(\)\s*\{")
_CLOSE = re.compile(r"\|\s*\}")
_ENTRY = re.compile(r"^(?:function:\s+)?(?P<name>[\w.]+) <-")
_ENTER = re.compile(
    r"(?:^|/\* )sys_(?:enter_)?umount[:(]\s*name: (?P<name>\S.*?), "
    r"flags: (?P<flags>(?:0x)?[0-9a-f]{1,8})\b"
)
_EXIT = re.compile(
    r"(?:^|/\* )sys_(?:exit_umount:|umount ->)\s*"
    r"(?P<ret>-?(?:0x[0-9a-f]{1,16}|0|[1-9]\d{0,9}))\b(?!\.)"
)
_NEXT = re.compile(r"(?:^|/\* )sys_(?:enter(?:_\w+)?:|(?!exit)\w+\()")
_GONE = re.compile(r"^sched_process_exit:\s+(?:comm=.* pid=(?P<pid>\d{1,10}) prio=)?")
_MISSED = re.compile(r"\[?LOST (?P<n>\d{1,18}) EVENTS\]?", re.IGNORECASE)
_LAST_TID = 2**31 - 1
_LEAST_RET = -4095
_AT_ONCE = 10_000  # records
_UMOUNT = re.compile(r"(?:^|/\* )sys_(?:enter_|exit_)?umount(?::|\(| ->)")
# Lines between the events, in `trace`, in `trace-cmd report` and in kernel stacks.
_HARMLESS = re.compile(
    r"^\s*$|^#|^\s*=>|^\s*(?:cpus=\d+|version = |CPU[ :]?\d+ |<stack trace)|^\s*-{3,}$"
    r"|^ *\d+\) +.{1,16}-\d+ +=> +.{1,16}-\d+ *$"
)
_QUOTED = re.compile(r'"(?P<path>.*)"')


class TextSource:
    """One file, delivered at once.

    Raises
    ------
    DamagedInputError
        Nothing in it is a trace of an umount.
    UsageError
        It is a ``trace-cmd`` file and trace-cmd is not installed.
    """

    tier = "ftrace"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = _Parser()
        self._sorted = SortedRecords()
        self._names: set[str] = set()
        self._batches: Iterator[EventBatch] = iter(())
        self._not_followed = 0
        # The times in the file start with the boot of its host, and the time of that is unknown.
        self.clock = ClockPair(0, 0)

    def open(self) -> None:
        """Read and parse the file, once; the records for rows go to a temporary file."""
        with open_trace(self._path) as file:
            for line in lines_of(file):
                self._take(list(self._parser.of_line(line)))
        self._take(self._parser.rest())
        if not self._names & _TELLING:
            raise DamagedInputError(
                f"{self._path}: no umount in it: record function_graph of path_umount, "
                "namespace_unlock, synchronize_rcu_expedited, cleanup_mnt and the events "
                "syscalls:sys_enter_umount, sys_exit_umount"
            )
        self._batches = self._translated()

    def read(self, timeout_s: float) -> EventBatch | None:  # noqa: ARG002 - protocol
        """Return the next events; None at the end."""
        return next(self._batches, None)

    def _take(self, records: list[Record]) -> None:
        self._names.update(record.name for record in records)
        self._sorted.add(records)

    def _translated(self) -> Iterator[EventBatch]:
        tasks = [Task(tid, tgid, 0, b"") for tid, tgid in self._parser.leaders.items()]
        lineage = TaskTracker(lambda: tasks, clock=lambda: 0)
        lineage.read_tasks()
        translator = Translator(
            lineage,
            lambda _caller: None,
            shift=0,
            watching=False,
            counts=False,
            unseen=unseen_of(self._names),
        )
        records = iter(self._sorted)
        while len(some := list(islice(records, _AT_ONCE))) == _AT_ONCE:
            yield translator.feed(some)
        parts = (translator.feed(some), translator.finish())
        self._not_followed = translator.not_followed
        yield EventBatch(
            np.concatenate([part.events for part in parts]),
            np.concatenate([part.names for part in parts]),
        )

    @property
    def left_out(self) -> str:
        """Return how many lines were not understood, as text; empty if all were."""
        number, first = self._parser.strange, self._parser.first_strange
        if not number:
            return ""
        lines = "line was" if number == 1 else "lines were"
        return f"{number:,} {lines} not understood; the first is line {first:,}"

    def fill(self) -> float | None:
        """Return None: a file does not fill."""
        return None

    def open_tasks(self) -> None:
        """Return None: the trace is text, and what is in it has ended."""

    def follow_command(self) -> None:
        """Return None: the trace has no command."""

    def bell(self) -> None:
        """Return None: no probe wakes the reader."""

    def task_walk(self) -> None:
        """Return None: the trace is text."""

    def losses(self) -> LossReport:
        """Return the losses that the file reports, and the operations that were not followed."""
        return LossReport(ring_events=self._parser.lost, task_map_full=self._not_followed)

    def plan(self) -> list[PlanLine]:
        """Return what the file holds."""
        found = ", ".join(sorted(self._names))
        return [PlanLine(meaning="imported", probe=found, how="text")]

    def close(self) -> None:
        """Free what was read."""
        self._sorted.close()


class _Parser:
    """Keeps the open functions of each task, since a return in function_graph has no name."""

    def __init__(self) -> None:
        self._open: dict[int, list[str]] = {}
        #: by task, the return that its last line shows beside the entry, and when that line was
        self._returns: dict[int, tuple[Record, int]] = {}
        self.leaders: dict[int, int] = {}  #: by task, where the trace has a column for it
        self.lost = 0
        self.strange = 0  #: lines that are not part of a trace, or that no kernel prints
        self.first_strange = 0
        self._last = 0
        self._number = 0

    def of_line(self, line: str) -> Iterator[Record]:
        """Yield the records of one line."""
        self._number += 1
        missed = _MISSED.search(line)
        if missed:
            self.lost += int(missed["n"])
            yield Record(self._last, 0, 0, LOST, {})
        found = _LINE.match(line) or _GRAPH.match(line)
        if found and int(found["tid"]) <= _LAST_TID:
            self._last = int(found["s"]) * 10**9 + int(found["frac"].ljust(9, "0"))
            self._belongs(int(found["tid"]), found.groupdict().get("tgid"))
            yield from self._return_before(int(found["tid"]), self._last)
            yield from self._of_line(found, self._last)
        elif not missed and not _HARMLESS.match(line):
            self._wonder()

    def rest(self) -> list[Record]:
        """Return the records that wait for a further line of their task; no line follows."""
        waiting = [record for record, _entry in self._returns.values()]
        self._returns.clear()
        return waiting

    def _return_before(self, tid: int, ts: int) -> Iterator[Record]:
        """Yield the return in the last line of a task, which was before this line.

        The clock of the durations is not that of the times: the sum may be too late, and a
        function would return after its caller.
        """
        if waiting := self._returns.pop(tid, None):
            record, entry = waiting
            yield record._replace(ts_ns=ts) if entry <= ts < record.ts_ns else record

    def _wonder(self) -> None:
        self.strange += 1
        self.first_strange = self.first_strange or self._number

    def _belongs(self, tid: int, leader: str | None) -> None:
        if leader and int(leader) <= _LAST_TID:
            self.leaders[tid] = int(leader)

    def _of_line(self, found: re.Match[str], ts: int) -> Iterator[Record]:
        tid, cpu, what = int(found["tid"]), int(found["cpu"]), found["what"].strip()
        comm = found["comm"].strip().encode()

        def record(name: str, at: int = ts, **fields: object) -> Record:
            return Record(at, tid, cpu, name, {"comm": comm, **fields})

        if _is_odd(what):
            self._wonder()
        elif enter := _ENTER.search(what):
            path = _QUOTED.search(enter["name"])
            text = whole(path["path"].encode()) if path else b""
            yield record("um_enter", path=text, flags=int(enter["flags"], 16))
        elif leave := _returned(what):
            yield record("um_exit", ret=_signed(leave["ret"]))
        elif _NEXT.search(what):
            yield record("um_next")
        elif gone := _GONE.search(what):
            yield record("sched_process_exit", pid=int(gone["pid"] or tid))
        elif call := _CALL.search(what):
            yield from self._called(call, record(""))
        elif begin := _OPEN.search(what):
            self._open.setdefault(tid, []).append(begin["name"])
            yield from (record(n) for n in FUNCTIONS.get(begin["name"], ("",))[:1] if n)
        elif name := self._passed(tid, what):
            yield record(name)

    def _called(self, call: re.Match[str], at: Record) -> Iterator[Record]:
        """Yield the entry of a function that one line shows; its return waits for the next line."""
        entry, back = FUNCTIONS.get(call["name"], ("", ""))
        if entry:
            yield at._replace(name=entry)
        if back:
            until = at.ts_ns + round(float(call["us"]) * 1000)
            self._returns[at.tid] = at._replace(ts_ns=until, name=back), at.ts_ns

    def _passed(self, tid: int, what: str) -> str:
        """Return the record of the function that ends in this line, or of which it is the entry."""
        if _CLOSE.search(what) and self._open.get(tid):
            return FUNCTIONS.get(self._open[tid].pop(), ("", ""))[1]
        called = _ENTRY.search(what)
        return FUNCTIONS.get(called["name"], ("",))[0] if called else ""


def _is_odd(what: str) -> bool:
    """Whether it is the call or return of an umount, but not as a kernel prints it."""
    return bool(_UMOUNT.search(what)) and not (_ENTER.search(what) or _returned(what))


def _returned(what: str) -> re.Match[str] | None:
    found = _EXIT.search(what)
    return found if found and _LEAST_RET <= _signed(found["ret"]) <= 0 else None


def _signed(word: str) -> int:
    value = int(word, 0)
    return value - (1 << 64) if value >= 1 << 63 else value
