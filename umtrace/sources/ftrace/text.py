"""What people already have: ftrace text, or a ``trace-cmd record`` file, as a source.

Understood are function_graph, plain function entries, kprobe-like returns
(``<- name``) and the umount system call's events, as tracefs prints them and as ``trace-cmd
report`` does. A text has no addresses: mounts have no identity, and who put them last is told
by the task that ran cleanup_mnt().
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from umtrace.records.clock import ClockPair
from umtrace.records.errors import DamagedInputError, UsageError
from umtrace.records.events import EventBatch, Origin
from umtrace.records.losses import LossReport
from umtrace.sources.ftrace.lineage import Lineage
from umtrace.sources.ftrace.records import LOST, Record
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
#: records that make a row, or a part of one
_TELLING = {"um_enter", "um_exit", *(name for pair in FUNCTIONS.values() for name in pair)}
# A number that no kernel prints makes a line none of a trace: it would not fit an event.
_SECONDS, _CPU = r"(?P<s>\d{1,9})\.(?P<frac>\d{6,9})", r"(?P<cpu>\d{1,4})"
_LINE = re.compile(
    rf"^\s*(?P<comm>.{{1,16}})-(?P<tid>\d+)\s+(?:\((?:\s*(?P<tgid>\d+)|[\s\d-]+)\)\s+)?\[{_CPU}\]\s+"
    rf"(?:[^\s:]{{4,6}}\s+)?{_SECONDS}:\s+(?P<what>.*)$"
)
_GRAPH = re.compile(
    rf"^\s*{_SECONDS}\s*\|\s*{_CPU}\)\s*(?P<comm>.{{1,16}})-(?P<tid>\d+)\s*\|(?P<what>.*)$"
)
_CALL = re.compile(r"(?<![\d.])(?P<us>\d{1,12}(?:\.\d+)?) us\s*\|\s*(?P<name>[\w.]+)\(\);")
_OPEN = re.compile(r"\|\s*(?P<name>[\w.]+)\(\)\s*\{")
_CLOSE = re.compile(r"\|\s*\}")
_ENTRY = re.compile(r"^(?:function:\s+)?(?P<name>[\w.]+) <-")
_ENTER = re.compile(
    r"(?:^|/\* )sys_(?:enter_)?umount[:(]\s*name: (?P<name>\S.*?), "
    r"flags: (?P<flags>(?:0x)?[0-9a-f]+)\b"
)
_EXIT = re.compile(r"(?:^|/\* )sys_(?:exit_umount:|umount ->)\s*(?P<ret>-?(?:0x[0-9a-f]+|\d+))\b")
_NEXT = re.compile(r"(?:^|/\* )sys_(?:enter(?:_\w+)?:|(?!exit)\w+\()")
_GONE = re.compile(r"^sched_process_exit:\s+(?:comm=.* pid=(?P<pid>\d+) prio=)?")
_MISSED = re.compile(r"\[?LOST (?P<n>\d{1,18}) EVENTS\]?", re.IGNORECASE)
_LAST_TID = 2**31 - 1
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
        self._lost = 0
        self._over = False
        self._records: list[Record] = []
        self._tasks: list[Task] = []
        # The file says when its host had booted nowhere: times start with the boot.
        self.clock = ClockPair(0, 0)

    def open(self) -> None:
        """Read and parse the file."""
        parser = _Parser()
        self._records = sorted(parser.records(_lines(self._path)), key=lambda r: r.ts_ns)
        self._lost = parser.lost
        self._tasks = [Task(tid, tgid, 0, b"") for tid, tgid in parser.leaders.items()]
        if not any(record.name in _TELLING for record in self._records):
            raise DamagedInputError(
                f"{self._path}: no umount in it: record function_graph of path_umount, "
                "namespace_unlock, synchronize_rcu_expedited, cleanup_mnt and the events "
                "syscalls:sys_enter_umount, sys_exit_umount"
            )

    def read(self, timeout_s: float) -> EventBatch | None:  # noqa: ARG002 - protocol
        """Return everything, then None."""
        if self._over:
            return None
        self._over = True
        unknown: Callable[[int], Origin] = lambda _caller: Origin.OTHER  # noqa: E731
        lineage = Lineage(lambda: self._tasks, clock=lambda: 0)
        lineage.look()
        unseen = unseen_of({record.name for record in self._records})
        translator = Translator(
            lineage, unknown, shift=0, watching=False, counts=False, unseen=unseen
        )
        parts = (translator.feed(self._records), translator.finish())
        return EventBatch(
            np.concatenate([part.events for part in parts]),
            np.concatenate([part.names for part in parts]),
        )

    def losses(self) -> LossReport:
        """Return what the file itself says was lost."""
        return LossReport(ring_events=self._lost)

    def plan(self) -> list[dict[str, str]]:
        """Return what the file holds."""
        found = sorted({record.name for record in self._records})
        line = {"meaning": "imported", "probe": ", ".join(found), "how": "text", "reason": "ok"}
        return [line]

    def close(self) -> None:
        """Nothing to do."""


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            binary = b"tracing" in file.read(16)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not binary:
        yield from path.read_text(errors="replace").split("\n")  # a comm may hold U+2028
        return
    if not shutil.which("trace-cmd"):
        raise UsageError(f"{path} is a trace-cmd file: apt-get install trace-cmd, which reads it")
    command = ["trace-cmd", "report", "-t", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DamagedInputError(f"{path}: trace-cmd cannot read it: {why}")
    yield from done.stdout.split("\n")


class _Parser:
    """Keeps by task which functions are open: a return in function_graph has no name."""

    def __init__(self) -> None:
        self._open: dict[int, list[str]] = {}
        self.leaders: dict[int, int] = {}  #: by task, where the trace has a column for it
        self.lost = 0

    def records(self, lines: Iterable[str]) -> Iterator[Record]:
        last = 0
        for line in lines:
            missed = _MISSED.search(line)
            if missed:
                self.lost += int(missed["n"])
                yield Record(last, 0, 0, LOST, {})
            found = _LINE.match(line) or _GRAPH.match(line)
            if found and int(found["tid"]) <= _LAST_TID:
                last = int(found["s"]) * 10**9 + int(found["frac"].ljust(9, "0"))
                self._belongs(int(found["tid"]), found.groupdict().get("tgid"))
                yield from self._of_line(found, last)

    def _belongs(self, tid: int, leader: str | None) -> None:
        if leader and int(leader) <= _LAST_TID:
            self.leaders[tid] = int(leader)

    def _of_line(self, found: re.Match[str], ts: int) -> Iterator[Record]:
        tid, cpu, what = int(found["tid"]), int(found["cpu"]), found["what"].strip()
        comm = found["comm"].strip().encode()

        def record(name: str, at: int = ts, **fields: object) -> Record:
            return Record(at, tid, cpu, name, {"comm": comm, **fields})

        if enter := _ENTER.search(what):
            path = _QUOTED.search(enter["name"])
            text = path["path"].encode() if path else b""
            yield record("um_enter", path=text, flags=int(enter["flags"], 16))
        elif leave := _EXIT.search(what):
            yield record("um_exit", ret=_signed(leave["ret"]))
        elif _NEXT.search(what):
            yield record("um_next")
        elif gone := _GONE.search(what):
            yield record("sched_process_exit", pid=int(gone["pid"] or tid))
        elif call := _CALL.search(what):
            entry, back = FUNCTIONS.get(call["name"], ("", ""))
            until = ts + round(float(call["us"]) * 1000)
            yield from (record(n, at) for n, at in ((entry, ts), (back, until)) if n)
        elif begin := _OPEN.search(what):
            self._open.setdefault(tid, []).append(begin["name"])
            yield from (record(n) for n in FUNCTIONS.get(begin["name"], ("",))[:1] if n)
        elif _CLOSE.search(what) and self._open.get(tid):
            back = FUNCTIONS.get(self._open[tid].pop(), ("", ""))[1]
            yield from (record(n) for n in (back,) if n)
        elif called := _ENTRY.search(what):
            yield from (record(n) for n in FUNCTIONS.get(called["name"], ("",))[:1] if n)


def _signed(word: str) -> int:
    value = int(word, 0)
    return value - (1 << 64) if value >= 1 << 63 else value
