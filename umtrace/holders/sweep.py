"""One pass over all processes, within a budget of time; says what it did not get to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from umtrace.holders import procfs
from umtrace.holders.procfs import Open

_IN_FLIGHT = "scm_fds:"
_RING_FILE = "anon_inode:[io_uring]"


class Sweep:
    """Yields what every process keeps open; ``blind`` grows by what was not seen."""

    def __init__(self, deadline: float, *, prefixes: Iterable[str]) -> None:
        self._deadline = deadline
        self._prefixes = tuple(prefixes)
        self._denied: dict[str, set[int]] = {}
        self._hidden: list[Open] = []  # sockets and rings, which may carry files of their own
        self.pids = procfs.pids()
        self.blind: list[str] = []

    def everything(self) -> Iterator[Open]:
        """Yield working directories and executables first, then files, mappings, threads."""
        steps: tuple[tuple[str, Callable[[int], Iterable[Open]]], ...] = (
            ("working directories", procfs.links),
            ("open files", self._files),
            ("mapped files", self._mapped),
            ("threads", self._threads),
        )
        for what, step in steps:
            yield from self._each(what, step)
        for what, denied in self._denied.items():
            self.blind.append(f"{what} of {len(denied)} of {len(self.pids)} processes (denied)")
        if not procfs.sees_all_processes():
            self.blind.append("processes outside this pid namespace")

    def carried(self) -> None:
        """Note files that no process has open: in flight between sockets, or in a ring."""
        for number, opened in enumerate(self._hidden):
            if time.monotonic() > self._deadline:
                self.blind.append(f"{len(self._hidden) - number} sockets and rings (out of time)")
                return
            text = procfs.fdinfo(opened)
            if opened.path == _RING_FILE:
                if any(prefix in text for prefix in self._prefixes):
                    self.blind.append(f"files registered in an io_uring of pid {opened.pid}")
            elif _in_flight(text):
                self.blind.append(f"files in flight in a socket of pid {opened.pid}")

    def _each(self, what: str, step: Callable[[int], Iterable[Open]]) -> Iterator[Open]:
        for number, pid in enumerate(self.pids):
            if time.monotonic() > self._deadline:
                left = len(self.pids) - number
                self.blind.append(f"{what} of {left} processes (out of time)")
                return
            try:
                yield from step(pid)
            except PermissionError:
                self._denied.setdefault(what, set()).add(pid)
            except OSError:  # gone meanwhile
                continue

    def _files(self, pid: int, tid: int | None = None) -> Iterator[Open]:
        for opened in procfs.files(pid, tid):
            if opened.path.startswith("socket:") or opened.path == _RING_FILE:
                self._hidden.append(opened)
            yield opened

    def _mapped(self, pid: int) -> Iterator[Open]:
        for prefix in self._prefixes:
            for path in procfs.mapped(pid, prefix):
                yield Open(pid, pid, "maps", path)

    def _threads(self, pid: int) -> Iterator[Open]:
        tids = procfs.threads(pid)
        if not tids:
            return
        # Threads share their files as a rule: look only where the lists differ.
        common = {(o.fd, o.path) for o in procfs.files(pid)}
        seen = {(o.kind, o.path) for o in procfs.links(pid)}
        for tid in tids:
            if time.monotonic() > self._deadline:
                self.blind.append(f"threads of pid {pid} (out of time)")
                return
            yield from (o for o in procfs.links(pid, tid) if (o.kind, o.path) not in seen)
            yield from (o for o in self._files(pid, tid) if (o.fd, o.path) not in common)


def _in_flight(text: str) -> bool:
    for line in text.splitlines():
        if line.startswith(_IN_FLIGHT):
            return line[len(_IN_FLIGHT) :].strip() not in {"", "0"}
    return False
