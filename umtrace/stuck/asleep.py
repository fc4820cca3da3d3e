"""How long a task has not run, from the scheduler's clock in /proc/PID/sched.

``se.exec_start`` is the time at which a task ran last, by the clock of its CPU. That clock leaves
out interrupts, so it can be compared with tasks of the same CPU only. What ran there last, of the
threads that the kernel has for each CPU, gives an age that is too small rather than too large.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from umtrace.holders import procfs

_LAST_RUN = re.compile(r"^se\.exec_start\s*:\s*(\d+)\.(\d+)$", re.MULTILINE)
_OF_A_CPU = re.compile(r"^(?:kworker|ksoftirqd|migration|rcuc|rcuop?|cpuhp|idle_inject)/(\d+)")
_CPU = 36  # position after the name in /proc/PID/stat


class LastRuns:
    """The latest time at which anything ran, for each of some CPUs; ms of the CPU's clock."""

    def __init__(self, cpus: Iterable[int]) -> None:
        wanted = set(cpus)
        self._latest: dict[int, int] = {}
        if not wanted:
            return
        for pid in procfs.pids():
            found = _OF_A_CPU.match(procfs.comm(pid) or "")
            if found and int(found[1]) in wanted:
                self._note(int(found[1]), _last_run(f"/proc/{pid}"))
        with suppress(OSError, ValueError, IndexError):
            text = Path("/proc/self/stat").read_text()
            self._note(int(text.rpartition(")")[2].split()[_CPU]), _last_run("/proc/self"))

    def _note(self, cpu: int, last: int | None) -> None:
        if last is not None:
            self._latest[cpu] = max(last, self._latest.get(cpu, 0))

    def asleep_ns(self, pid: int, tid: int, cpu: int) -> int | None:
        """Return for how long at least a task has not run, ns; None if that is not known."""
        last, latest = _last_run(f"/proc/{pid}/task/{tid}"), self._latest.get(cpu)
        if not last or latest is None or latest < last:
            return None
        return latest - last


def _last_run(task: str) -> int | None:
    with suppress(OSError):
        if found := _LAST_RUN.search(Path(f"{task}/sched").read_text(errors="replace")):
            return int(found[1]) * 1_000_000 + int(found[2].ljust(6, "0")[:6])
    return None
