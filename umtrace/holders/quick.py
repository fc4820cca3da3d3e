"""The pass over /proc after an EBUSY: the holder may leave at any moment.

A child process reads, and what counts is its CPU time: on a loaded host a task gets little of that
in 50 ms. Each step uses the child of the thread that takes it (`asker`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from umtrace.holders import looking, procfs
from umtrace.holders.asker import asker
from umtrace.holders.procfs import Open
from umtrace.holders.sweep import DIRECTORIES, FILES, THREADS, Sweep

#: beginnings of links that are no paths and are needed: sockets, and all that `carried` reads
_OTHERS = (b"socket:[", b"anon_inode:")
#: processes whose mappings are asked for before the CPU time is compared
_AT_ONCE = 8
_LOOKER_ENDED = "the process that looks was killed"


class QuickSweep(Sweep):
    """A `Sweep` that yields only what is on a target, and begins with the likely processes.

    `walked` comes before `opened`, and has the processes that the kernel named.

    Parameters
    ----------
    cpu_s : float
        CPU time in seconds; the mappings may take as much again, in another process.
    until : float
        A deadline (monotonic, seconds).
    """

    def __init__(
        self,
        cpu_s: float,
        until: float,
        *,
        prefixes: Sequence[str],
        devs: Sequence[str],
        likely: Sequence[int],
        named: Sequence[int] = (),
    ) -> None:
        super().__init__(until, prefixes=prefixes, devs=devs)
        left = {*self.pids}
        self._named = [pid for pid in named if pid in left]
        left -= {*self._named}
        self._likely = [pid for pid in likely if pid in left]
        left -= {*self._likely}
        self._others = [pid for pid in self.pids if pid in left]
        self.pids = [*self._named, *self._likely, *self._others]
        self._cpu_s = self._left_s = cpu_s
        self._ends_early: Callable[[], bool] = lambda: False
        self._wanted = [*map(os.fsencode, self._prefixes), *_OTHERS]

    def go_on(self, until: float, ends_early: Callable[[], bool]) -> None:
        """Set the deadline of the rest, and what may end it before."""
        self._deadline, self._ends_early = until, ends_early

    def walked(self) -> Iterator[Open]:
        """Yield what the processes have on the targets that the kernel named."""
        if self._named:
            yield from self._opened(self._named, ())

    def opened(self) -> Iterator[Open]:
        """Yield directories, executables and open files on the targets, of all other processes."""
        yield from self._opened(self._likely, self._others)

    def _opened(self, first: Sequence[int], others: Sequence[int]) -> Iterator[Open]:
        try:
            answer = self._ask("opened", first, others)
        except OSError:
            self.lost.append(_LOOKER_ENDED)
            return
        found, denied, instead, n_read, no_links, no_files, took = answer
        self._instead |= instead
        self.n_read += n_read
        self._left_s -= took
        self._out_of_time(DIRECTORIES, no_links)
        self._out_of_time(FILES, no_files)
        yield from self._entries(found, denied)

    def _of_threads(self) -> Iterator[Open]:
        if self._ends_early():
            self._out_of_time(THREADS, len(self.pids))
            return
        try:
            found, denied, left, took = self._ask("of_threads", self.pids)
        except OSError:
            self.lost.append(_LOOKER_ENDED)
            return
        self._left_s -= took
        self._out_of_time(THREADS, left)
        yield from self._entries(found, denied)

    def _ask(self, what: str, *pids: Sequence[int]) -> Any:
        args = (*map(list, pids), self._wanted, max(self._left_s, 0.0), self._deadline)
        return asker().ask(what, *args, patience_s=max(self.left_s, 0.0) + 1.0)

    def _entries(
        self, found: Sequence[tuple[int, int, bytes, bytes]], denied: Sequence[int]
    ) -> Iterator[Open]:
        for pid in denied:
            self._deny(pid)
        for pid, tid, kind, path in found:
            fd = int(kind) if kind.isdigit() else None
            name = "fd" if fd is not None else kind.decode()
            opened = Open(pid, tid, name, os.fsdecode(path), fd)
            self._note(opened)
            yield opened

    def _maps(self, tids: Sequence[int]) -> Iterator[tuple[int, list[Open] | OSError]]:
        tids = procfs.silent_last(tids)
        began = self._asker_ran_s()
        for at in range(0, len(tids), _AT_ONCE):
            if self._asker_ran_s() - began >= self._cpu_s or self._ends_early():
                return
            yield from super()._maps(tids[at : at + _AT_ONCE])

    @staticmethod
    def _asker_ran_s() -> float:
        pid = asker().start().process.pid
        return (looking.running(b"/proc/%d/task/%d" % (pid, pid))[1] or 0) / 1e9
