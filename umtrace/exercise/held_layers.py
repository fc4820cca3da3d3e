"""What makes the umount of an id-mapped layer fail, each for a known time.

- A child that has not called execve yet has every descriptor of its parent, also those that are
  to be closed by execve: among them that of the layer, from open_tree(2).
- A process of another mount namespace has a file open in its propagated copy of the layer.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor
from umtrace.exercise.children import SharedWords, fork_child, reap
from umtrace.exercise.ledger import Hold, Teardown
from umtrace.exercise.namespace import count_all_mounts
from umtrace.exercise.stage import Stage
from umtrace.model.errors import UmtraceError

INHERITED: Final = "inherited"
COPY: Final = "copy"
_PROGRAM: Final = "/bin/true"
#: tid, mount namespace, mounts in it
_HELLO: Final = struct.Struct("<qqq")
_WORDS: Final = 4  # of a hold: it is there, its mount is being unmounted, it ends, it is over
_POLL_S: Final = 0.0005
_PATIENCE_S: Final = 30.0


class Descriptors:
    """The descriptors of layers that are open now. A fork under its lock inherits exactly these."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._open: dict[int, str] = {}

    @contextmanager
    def opened(self, source: str, target: str) -> Iterator[int]:
        """Yield a detached copy of the mount at `source`, which is to be mounted at `target`."""
        with self.lock:
            fd = syscalls.open_tree_clone(source)
            self._open[fd] = target
        try:
            yield fd
        finally:
            with self.lock:
                del self._open[fd]
                os.close(fd)

    def paths(self) -> list[str]:
        """Return where they are mounted, or soon will be."""
        return sorted(self._open.values())


class Times:
    """When each hold began and ended, as the holders say; CLOCK_MONOTONIC, ns.

    A hold ends `hold_s` after its mount is about to be unmounted.
    """

    def __init__(self, holds: int, hold_s: float) -> None:
        self._shared = SharedWords(_WORDS * holds)
        self._words = self._shared.words
        self._hold_s = hold_s

    def begins(self, number: int) -> None:
        """Say that this hold is there."""
        self._words[_WORDS * number] = time.perf_counter_ns()

    def umount_begins(self, number: int) -> None:
        """Say that the mount is about to be unmounted."""
        self._words[_WORDS * number + 1] = time.perf_counter_ns()

    def last(self, number: int) -> None:
        """Be the one who holds until the hold is about to end."""
        self._wait(_WORDS * number + 1)
        time.sleep(self._hold_s)
        self._words[_WORDS * number + 2] = time.perf_counter_ns()

    def wait_begun(self, number: int) -> None:
        """Wait until the hold is there."""
        self._wait(_WORDS * number)

    def over(self, number: int) -> None:
        """Say that the hold has ended."""
        self._words[_WORDS * number + 3] = time.perf_counter_ns()

    def wait_over(self, number: int) -> tuple[int, int, int]:
        """Wait until the hold has ended; return when it began, was about to end, and was over."""
        over = self._wait(_WORDS * number + 3)
        return self._words[_WORDS * number], self._words[_WORDS * number + 2], over

    def _wait(self, word: int) -> int:
        deadline = time.monotonic() + _PATIENCE_S
        while not self._words[word]:
            if time.monotonic() > deadline:
                raise UmtraceError("a process that was to hold a layer did not answer")
            time.sleep(_POLL_S)
        return int(self._words[word])

    def close(self) -> None:
        """Unmap."""
        self._shared.close()


class Child:
    """A child that calls execve only when the hold is over."""

    def __init__(self, stage: Stage, descriptors: Descriptors, times: Times, hold: int) -> None:
        self._stage = stage
        self._times = times
        self._hold = hold
        self._comm = f"umt-fork-{hold}"
        with descriptors.lock:
            self._paths = descriptors.paths()
            times.begins(hold)
            self._pid = fork_child(self._comm, stage.errors, self._body)

    def _body(self) -> None:
        self._times.last(self._hold)
        os.execv(_PROGRAM, [_PROGRAM])  # noqa: S606 - no shell is wanted

    def ended(self) -> None:
        """Wait until it has ended, and list what it held."""
        reap([self._pid])
        self._times.over(self._hold)
        times = self._times.wait_over(self._hold)
        mntns = self._stage.actor.mntns
        _list(self._stage, INHERITED, self._paths, (self._pid, self._comm, mntns), times)


class Neighbour:
    """A process in another mount namespace that gets a copy of each layer."""

    def __init__(self, stage: Stage, times: Times, number: int) -> None:
        self._stage = stage
        self._times = times
        self._comm = f"umt-other-{number}"
        ours, theirs = os.pipe(), os.pipe()
        self._pid = fork_child(self._comm, stage.errors, self._body(ours[0], theirs[1]))
        self._ask = ours[1]
        os.close(ours[0])
        os.close(theirs[1])
        with os.fdopen(theirs[0], "rb") as said:
            self._tid, self._mntns, self._mounts = _HELLO.unpack(said.read(_HELLO.size))

    def hold(self, number: int, path: str) -> None:
        """Have it open `path` in its copy; return when it is open."""
        os.write(self._ask, f"{number} {path}\n".encode())
        self._times.wait_begun(number)

    def ended(self, number: int, path: str) -> None:
        """Wait until it has closed that again, and list it."""
        times = self._times.wait_over(number)
        _list(self._stage, COPY, [path], (self._pid, self._comm, self._mntns), times)

    def _body(self, asked: int, tell: int) -> Callable[[], None]:
        def body() -> None:
            syscalls.unshare_mounts()
            actor = Actor.current()
            os.write(tell, _HELLO.pack(actor.tid, actor.mntns, count_all_mounts()))
            os.close(tell)
            with os.fdopen(asked) as requests:
                for request in requests:
                    number, _, path = request.rstrip("\n").partition(" ")
                    if not path:  # no end of file: later neighbours have the other end, too
                        return
                    threading.Thread(target=self._open, args=(int(number), path)).start()

        return body

    def _open(self, number: int, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._times.begins(number)
        self._times.last(number)
        os.close(fd)
        self._times.over(number)

    def leave(self) -> None:
        """Have it exit; its namespace ends with that."""
        begin = time.perf_counter_ns()
        os.write(self._ask, b"\n")
        os.close(self._ask)
        reap([self._pid])
        self._stage.ledger.ns_exits.append(
            Teardown(
                how="exit",
                mntns=self._mntns,
                pid=self._pid,
                tid=self._tid,
                comm=self._comm,
                t_start=begin + self._stage.ledger.clock.offset_ns,
                latency_ns=time.perf_counter_ns() - begin,
                n_mounts=self._mounts,
            )
        )


def _list(
    stage: Stage,
    kind: str,
    paths: list[str],
    who: tuple[int, str, int],
    times: tuple[int, int, int],
) -> None:
    pid, comm, mntns = who
    begin, end, over = (ns + stage.ledger.clock.offset_ns for ns in times)
    stage.ledger.holds.append(
        Hold(
            kind=kind,
            paths=paths,
            pid=pid,
            comm=comm,
            mntns=mntns,
            begin=begin,
            end=end,
            over=over,
        )
    )
