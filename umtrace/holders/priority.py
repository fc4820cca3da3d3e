"""The priority of the thread that looks for holders, and of its child process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from umtrace.holders import looking

_SHARE = 1 / 3  #: of one CPU, for looks with the higher priority
_MOST_SAVED_S = 0.3  #: CPU time that is saved up for several EBUSYs in a row


class Priority:
    """Raises the calling thread and a child; without the right to, they stay as they are.

    They sleep most of the time. At most a third of one CPU goes to looks with the higher priority:
    in a storm of EBUSYs, the others have the priority that the thread was started with. Without a
    child only the thread is raised: while it waits for a CPU with the interpreter's lock, so do all
    other threads.

    Parameters
    ----------
    nice : int or None
        The higher one, as a nice value; None never changes it.
    """

    def __init__(self, nice: int | None) -> None:
        self._before = os.getpriority(os.PRIO_PROCESS, 0)
        self._nice = None if nice is None or nice >= self._before else nice
        self._left_s, self._at_s = _MOST_SAVED_S, time.monotonic()

    def take(self, child: int | None = None) -> None:
        """Raise both."""
        if self._nice is not None:
            _set(self._nice, child)

    @contextmanager
    def look(self, child: int | None = None) -> Iterator[None]:
        """Count one look, or lower both for it."""
        if self._nice is None:
            yield
            return
        now = time.monotonic()
        self._left_s = min(self._left_s + _SHARE * (now - self._at_s), _MOST_SAVED_S)
        self._at_s, too_many = now, self._left_s <= 0
        _set(self._before if too_many else self._nice, child)
        began_s = _ran_s(child)
        try:
            yield
        finally:
            if too_many:
                _set(self._nice, child)
            else:
                self._left_s -= max(_ran_s(child) - began_s, 0.0)


def _set(nice: int, child: int | None) -> None:
    for pid in (0,) if child is None else (0, child):  # 0 is this thread
        with suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, pid) != nice:
                os.setpriority(os.PRIO_PROCESS, pid, nice)
    if child is not None:
        _set_of_its_session(child, nice)


def _set_of_its_session(pid: int, nice: int) -> None:
    """Set the share of the session, where the kernel divides the CPU by sessions (autogroup).

    The child is alone in its session.
    """
    with suppress(OSError):
        file = Path(f"/proc/{pid}/autogroup")
        if os.getsid(pid) == pid and not file.read_text().endswith(f" nice {nice}\n"):
            file.write_text(f"{nice}\n")


def _ran_s(pid: int | None) -> float:
    if pid is None:
        return time.thread_time()
    child_s = (looking.running(b"/proc/%d/task/%d" % (pid, pid))[1] or 0) / 1e9
    return child_s + time.thread_time()
