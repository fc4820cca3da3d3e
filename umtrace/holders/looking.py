"""Reads and samples what tasks have open, for a child process that a loaded host cannot delay.

`answering.py` runs it in a child with a priority of its own. Every call here returns: none waits
for the memory of a task, or for the server of a file system. It imports nothing of the project.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # typing takes longer to import than all other modules together
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Entry = tuple[int, int, bytes, bytes]
    Seen = tuple[int, int, int | None]

#: A task that opens and closes in a loop is missing from one of these; a holder never is.
SAMPLES = 24
SAMPLES_SPAN_S = 0.014
#: While a task waits for a CPU, all samples of it are equal; at least so many must be valid.
FEWEST_SAMPLES = SAMPLES // 2
#: A timer tick during an open(2) often preempts the task when the file is open. Most samples of a
#: task that competes for a CPU then show the file, so such a task needs more samples.
MOST_SAMPLES = 4 * SAMPLES
_ENDED = (FileNotFoundError, ProcessLookupError, NotADirectoryError)
_ONE_THREAD = 3  # links of /proc/PID/task: 2, and one for each thread


class Pass:
    """One pass over processes, within a time of CPU and until a moment (monotonic, seconds)."""

    def __init__(self, wanted: Sequence[bytes], cpu_s: float, until: float) -> None:
        self._wanted = tuple(wanted)
        self._cpu_until, self._until = time.process_time() + cpu_s, until
        self.found: list[Entry] = []  #: process, thread, kind or number, path
        self.denied: list[int] = []
        self.instead: dict[int, int] = {}  #: thread to process, if its first thread has ended
        self.n_read = 0

    def each(self, step: Callable[[int], None], pids: Sequence[int]) -> int:
        """Take a step for each process; return how many are left when the time is over."""
        for number, pid in enumerate(pids):
            if time.process_time() > self._cpu_until or time.monotonic() > self._until:
                return len(pids) - number
            try:
                step(pid)
            except PermissionError:
                self.denied.append(pid)
            except OSError:  # gone meanwhile
                continue
        return 0

    def links(self, pid: int) -> None:
        """Read the executable, cwd and root of a process."""
        task = b"/proc/%d" % pid
        if not self._add(pid, pid, b"exe", task + b"/exe"):
            self._of_a_thread(pid)  # a kernel thread, or its first thread has ended
            return
        self.n_read += 1
        for kind in (b"cwd", b"root"):
            self._add(pid, pid, kind, task + b"/" + kind)

    def files(self, pid: int) -> None:
        """Read the open files of a process."""
        for number, path in _files(b"/proc/%d/fd/" % pid):
            self._keep(pid, pid, number, path)

    def threads(self, pid: int) -> None:
        """Read what the other threads of a process have open, as far as it differs."""
        tids = _threads(pid)
        if not tids:
            return
        task = b"/proc/%d" % pid
        common = {*_files(task + b"/fd/"), *_places(task)}
        for tid in tids:
            task = b"/proc/%d/task/%d" % (pid, tid)
            for kind, path in (*_places(task), *_files(task + b"/fd/")):
                if (kind, path) not in common:
                    self._keep(pid, tid, kind, path)

    def _of_a_thread(self, pid: int) -> None:
        for tid in _threads(pid):
            if self._add(pid, tid, b"exe", b"/proc/%d/task/%d/exe" % (pid, tid)):
                self.instead[tid] = pid
                self.n_read += 1
                return

    def _add(self, pid: int, tid: int, kind: bytes, link: bytes) -> bool:
        try:
            path = os.readlink(link)  # noqa: PTH115
        except _ENDED:
            return False
        self._keep(pid, tid, kind, path)
        return True

    def _keep(self, pid: int, tid: int, kind: bytes, path: bytes) -> None:
        if path.startswith(self._wanted):
            self.found.append((pid, tid, kind, path))


def opened(
    first: list[int], others: list[int], wanted: list[bytes], cpu_s: float, until: float
) -> tuple[list[Entry], list[int], dict[int, int], int, int, int, float]:
    """Return what processes have open with one of the wanted beginnings.

    ``first`` are read whole, then the directories of ``others``, then their files. Returns what
    was found, who refused, whose first thread has ended, how many processes were read, how many
    directories and how many open files were not, and the CPU time in seconds.
    """
    began, run = time.process_time(), Pass(wanted, cpu_s, until)
    no_links = run.each(run.links, first)
    no_files = run.each(run.files, first)
    no_links += run.each(run.links, others)
    no_files += run.each(run.files, others)
    took = time.process_time() - began
    return run.found, run.denied, run.instead, run.n_read, no_links, no_files, took


def of_threads(
    pids: list[int], wanted: list[bytes], cpu_s: float, until: float
) -> tuple[list[Entry], list[int], int, float]:
    """Return what threads have open that their process has not; see `opened`."""
    began, run = time.process_time(), Pass(wanted, cpu_s, until)
    left = run.each(run.threads, pids)
    return run.found, run.denied, left, time.process_time() - began


def _files(folder: bytes) -> Iterator[tuple[bytes, bytes]]:
    try:
        numbers = os.listdir(folder)  # noqa: PTH208
    except _ENDED:
        return
    for number in numbers:
        try:
            path = os.readlink(folder + number)  # noqa: PTH115
        except _ENDED:  # closed meanwhile
            path = b""
        if path:
            yield number, path


def _places(task: bytes) -> list[tuple[bytes, bytes]]:
    try:
        return [(kind, os.readlink(task + b"/" + kind)) for kind in (b"cwd", b"root")]  # noqa: PTH115
    except _ENDED:
        return []


def _threads(pid: int) -> list[int]:
    folder = b"/proc/%d/task" % pid
    try:
        if os.stat(folder).st_nlink <= _ONE_THREAD:  # noqa: PTH116
            return []
        return [tid for name in os.listdir(folder) if (tid := int(name)) != pid]  # noqa: PTH208
    except OSError:
        return []


class Watched:
    """A link of a task in /proc that is sampled; ``reads`` is what it shows while it is open."""

    def __init__(self, task: bytes, link: bytes, reads: bytes) -> None:
        self._task, self._link, self._reads = task, link, reads
        self._ran_ns = running(task)[1]
        self._seen = self._samples = 1
        self._ran = False
        self._missing_ns: int | None = None

    def sample(self, clock: Callable[[], int]) -> None:
        """Look once more."""
        if not self._still():
            self._samples += 1
            if self._missing_ns is None:
                self._missing_ns = clock()
            return
        waiting, ran_ns = running(self._task)
        self._ran = self._ran or waiting
        if waiting and ran_ns is not None and ran_ns == self._ran_ns:
            return
        self._ran_ns = ran_ns
        self._seen, self._samples = self._seen + 1, self._samples + 1

    def undecided(self) -> bool:
        """Whether more samples may show that it is no holder."""
        return self._ran and self._seen == self._samples < MOST_SAMPLES

    def result(self) -> Seen:
        """Return in how many samples it was seen, of how many, and when it was first missing."""
        known = self._samples >= FEWEST_SAMPLES or self._seen < self._samples
        # With too few samples it is not called a holder.
        return self._seen, self._samples if known else self._samples + 1, self._missing_ns

    def _still(self) -> bool:
        try:
            return os.readlink(self._link) == self._reads  # noqa: PTH115
        except OSError:
            return False


def samples(
    links: Sequence[tuple[bytes, bytes, bytes]],
    patience_s: float = 0.0,
    clock: Callable[[], int] = time.monotonic_ns,
) -> list[Seen]:
    """Sample links for SAMPLES_SPAN_S, and running tasks up to ``patience_s`` longer.

    Each has the task and the link in /proc, and what the link shows; times are of ``clock``.
    """
    watched = [Watched(*link) for link in links]
    pause_s = SAMPLES_SPAN_S / (SAMPLES - 1)
    for _ in range(SAMPLES - 1 if watched else 0):
        _sample_all(watched, pause_s, clock)
    until = time.monotonic() + patience_s
    while (left := [w for w in watched if w.undecided()]) and time.monotonic() < until:
        _sample_all(left, pause_s, clock)
    return [each.result() for each in watched]


def _sample_all(watched: Sequence[Watched], pause_s: float, clock: Callable[[], int]) -> None:
    time.sleep(pause_s)
    for one in watched:
        one.sample(clock)


def running(task: bytes) -> tuple[bool, int | None]:
    """Return whether a task runs or waits for a CPU, and how long it has run, in ns.

    The time is None if the kernel does not count it.
    """
    try:
        state = _text(task + b"/stat").rpartition(b")")[2].split()[0]
        return state == b"R", int(_text(task + b"/schedstat").split()[0]) or None
    except (OSError, ValueError, IndexError):
        return False, None


def _text(path: bytes) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 1 << 12)
    finally:
        os.close(file)
