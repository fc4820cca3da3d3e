"""Helper processes that never outlive the exercise, and words they share with it."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.model.stopping import SIGNALS

_PATIENCE_S: Final = 30.0
_WORD: Final = 8


class SharedWords:
    """A few 64-bit integers seen by the parent and by children forked later."""

    def __init__(self, count: int) -> None:
        self._map = mmap.mmap(-1, count * _WORD)
        self.words = memoryview(self._map).cast("q")

    def close(self) -> None:
        """Unmap; children keep their own mapping."""
        self.words.release()
        self._map.close()


class Gate:
    """Holds children, forked later, until the parent opens it or dies; costs no CPU time."""

    def __init__(self) -> None:
        self._inside, self._outside = os.pipe()

    def wait(self) -> None:
        """In a child: wait until the gate is open."""
        os.close(self._outside)
        os.read(self._inside, 1)

    def open(self) -> None:
        """Let the children go; may be called twice."""
        if self._outside >= 0:
            os.close(self._outside)
            os.close(self._inside)
            self._outside = -1


def fork_child(comm: str, errors: Path, body: Callable[[], None]) -> int:
    """Run `body` in a child and return its pid.

    The child dies with this task, leaves the signals of the terminal to it, and
    exits without running anything of the parent's: 0, or 1 after an exception,
    which it adds as a line to the file `errors`.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        if os.getppid() == parent:
            for signum in SIGNALS:
                signal.signal(signum, signal.SIG_IGN)
            syscalls.set_comm(comm)
            body()
            code = 0
    except BaseException as error:  # whatever it was, the child must not return
        with contextlib.suppress(OSError), errors.open("a") as file:
            file.write(f"{comm}: {error}\n")
    finally:
        os._exit(code)


def reap(pids: Iterable[int]) -> list[int]:
    """Wait for the children and return their exit codes, negative for a signal.

    Those that have not ended in half a minute are killed.
    """
    deadline = time.monotonic() + _PATIENCE_S
    return [_reap_one(pid, deadline) for pid in pids]


def _reap_one(pid: int, deadline: float) -> int:
    killed = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if not killed and time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.0005)
