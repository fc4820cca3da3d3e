"""One pass over all processes within a time limit; lists what it did not reach."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from umtrace.holders import procfs
from umtrace.holders.asker import asker, children
from umtrace.holders.carried import RING, may_carry
from umtrace.holders.procfs import Open
from umtrace.holders.sockets import bound_sockets
from umtrace.kernel.uprobes import LINK_PATHS

#: at most so many processes are named one by one
MOST_NAMED = 8
DIRECTORIES, FILES, THREADS = "working directories", "open files", "threads"
_SOCKET = "socket:["


class Sweep:
    """Yields what every process has open, until ``deadline`` (monotonic, seconds).

    ``denied`` gets the name of each process that could not be read, but not of kernel threads.
    ``n_read`` counts the processes that were read. ``lost`` gets a phrase for all else that was not
    read.
    """

    def __init__(
        self,
        deadline: float,
        *,
        prefixes: Iterable[str],
        devs: Iterable[str] = (),
        mapped_devs: Iterable[str] = (),
    ) -> None:
        self._deadline = deadline
        self._prefixes = tuple(prefixes)
        self._devs = tuple(devs)  # superblocks of bound sockets; empty: all
        self._mapped_devs = tuple(mapped_devs)  # superblocks of mappings without a prefix
        self.denied: dict[int, str] = {}
        self.n_read = 0
        self._hidden: list[Open] = []  # sockets, rings and the like
        self._instead: dict[int, int] = {}  # thread to process, if its first thread has ended
        asker().start()
        ours = children()
        self.pids = [pid for pid in procfs.pids() if pid not in ours]
        self._ring_maps: set[int] = set()
        self.links: list[Open] = []  #: descriptors of BPF links
        self.lost: list[str] = []

    @property
    def blind(self) -> list[str]:
        """A phrase for each thing that was not read."""
        denied = describe(self.denied, "denied")
        return [*([denied] if self.denied else []), *self.lost]

    def everything(self) -> Iterator[Open]:
        """Yield directories and executables, then files, mappings, threads and bound sockets."""
        yield from self.opened()
        yield from self.rest()

    def opened(self) -> Iterator[Open]:
        """Yield directories and executables, then open files."""
        steps: tuple[tuple[str, Callable[[int], Iterable[Open]]], ...] = (
            (DIRECTORIES, self._links),
            (FILES, self._files),
        )
        for what, step in steps:
            yield from self._each(what, step)

    def rest(self) -> Iterator[Open]:
        """Yield mappings, then what threads have open, then bound sockets."""
        yield from self._mapped()
        yield from self._of_threads()
        yield from self._bound()
        if unseen := procfs.unseen_processes():
            self.lost.append(unseen)

    @property
    def rings(self) -> list[int]:
        """The processes that have a ring mapped, and no descriptor of a ring."""
        return sorted(self._ring_maps - {o.pid for o in self._hidden if o.path == RING})

    @property
    def left_s(self) -> float:
        """The time left in seconds; negative after the deadline."""
        return self._deadline - time.monotonic()

    def carriers(self) -> Iterator[Open]:
        """Yield the descriptors that may hold other files (``carried.carried``)."""
        for number, opened in enumerate(self._hidden):
            if self.left_s < 0:
                self.lost.append(f"{len(self._hidden) - number} sockets and rings (out of time)")
                return
            yield opened

    def _each(self, what: str, step: Callable[[int], Iterable[Open]]) -> Iterator[Open]:
        for number, pid in enumerate(self.pids):
            if time.monotonic() > self._deadline:
                self._out_of_time(what, len(self.pids) - number)
                return
            try:
                yield from step(pid)
            except PermissionError:
                self._deny(pid)
            except OSError:  # gone meanwhile
                continue

    def _out_of_time(self, what: str, n_left: int) -> None:
        if n_left:
            self.lost.append(f"{what} of {n_left} processes (out of time)")

    def _deny(self, pid: int) -> None:
        if pid not in self.denied and not procfs.is_kernel_thread(pid):
            self.denied[pid] = procfs.comm(pid) or "?"

    def _links(self, pid: int) -> Iterator[Open]:
        found = False
        for opened in procfs.links(pid):
            found = True
            self.n_read += opened.kind == "exe"
            yield opened
        program = None if found else procfs.program_of_a_thread(pid)
        if program is not None:
            self._instead[program.tid] = pid
            self.n_read += 1
            yield program

    def _files(self, pid: int, tid: int | None = None) -> Iterator[Open]:
        for opened in procfs.files(pid, tid):
            self._note(opened)
            yield opened

    def _note(self, opened: Open) -> None:
        """Keep a descriptor that may hold other files."""
        # The perf events of a recorder are its probes; a program that uses umtrace as a library
        # may have a socket.
        own = opened.pid == os.getpid() and not opened.path.startswith(_SOCKET)
        if may_carry(opened.path) and not own:
            self._hidden.append(opened)
        elif opened.path in LINK_PATHS:
            self.links.append(opened)

    def _bound(self) -> Iterator[Open]:
        """Yield the sockets that are bound to a path, which keep its mount busy."""
        sockets = [opened for opened in self._hidden if opened.path.startswith(_SOCKET)]
        if time.monotonic() > self._deadline:
            self.lost.append(f"what {len(sockets)} sockets are bound to (out of time)")
            return
        bound = bound_sockets({opened.pid for opened in sockets}, self._devs)
        for opened in sockets:
            file = bound.get(int(opened.path[len(_SOCKET) : -1]))
            if file is not None:
                held = replace(opened, kind="socket", path=file.path, dev=file.dev)
                yield replace(held, reads=opened.path)

    def _maps(self, tids: Sequence[int]) -> Iterator[tuple[int, list[Open] | OSError]]:
        prefixes = [*self._prefixes, RING]
        return procfs.mapped(tids, prefixes, self._mapped_devs, self._deadline)

    def _mapped(self) -> Iterator[Open]:
        n_answers = 0
        ended = set(self._instead.values())
        tids = [*self._instead, *(pid for pid in self.pids if pid not in ended)]
        for tid, answer in self._maps(tids):
            n_answers += 1
            pid = self._instead.get(tid, tid)
            if isinstance(answer, TimeoutError):
                self.lost.append(f"mapped files of {who(pid)}: {answer.strerror}")
            elif isinstance(answer, PermissionError):
                self._deny(pid)
            elif not isinstance(answer, OSError):  # gone meanwhile
                files = [each for each in answer if each.path != RING]
                self._ring_maps |= {pid} if len(files) < len(answer) else set()
                yield from (replace(each, pid=pid, tid=tid) for each in files)
        self._out_of_time("mapped files", len(tids) - n_answers)

    def _of_threads(self) -> Iterator[Open]:
        return self._each(THREADS, self._threads)

    def _threads(self, pid: int) -> Iterator[Open]:
        tids = procfs.threads(pid)
        if not tids:
            return
        # Most threads share their files: yield only what differs.
        common = {(o.fd, o.path) for o in procfs.files(pid)}
        seen = {(o.kind, o.path) for o in procfs.links(pid)}
        for tid in tids:
            if time.monotonic() > self._deadline:
                self.lost.append(f"threads of pid {pid} (out of time)")
                return
            yield from (o for o in procfs.links(pid, tid) if (o.kind, o.path) not in seen)
            yield from (o for o in self._files(pid, tid) if (o.fd, o.path) not in common)


def who(pid: int) -> str:
    """Return pid and name of a process for a message."""
    return f"pid {pid} ({procfs.comm(pid) or '?'})"


def describe(processes: Mapping[int, str], why: str) -> str:
    """Return the number of processes, with their names if they are few."""
    names = ", ".join(f"{comm} {pid}" for pid, comm in processes.items())
    count = "1 process" if len(processes) == 1 else f"{len(processes)} processes"
    return f"{count} ({why})" if len(processes) > MOST_NAMED else f"{count} ({why}: {names})"
