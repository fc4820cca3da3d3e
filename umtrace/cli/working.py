"""A line on the terminal while a command is silent: nobody waits longer than a third of a second.

A thread draws it, since the silence is that of imports and of long calls. Whatever the command
writes takes its place.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from umtrace.model.activity import NOW

_SILENT_S = 0.1  # until it shows; less where Python itself was slow to start
_START_S = 0.2  # from the start of the process
_EVERY_S = 0.15  # an import can keep the thread from running for as long again
_WIDEST = 79
_STARTED = 19  # of /proc/PID/stat, counted from what follows the name
_CLEAR = "\r\033[K"


class Working:
    """Draws the line on stderr, if that is a terminal, from `begin` to `end`."""

    def __init__(self, stream: TextIO) -> None:
        self._lock = threading.RLock()  # a signal may come while it is held
        self._over: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._drawn = False
        self._fd = _terminal(stream)

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal to show it on."""
        return self._fd is not None

    def begin(self, silent_s: float = _SILENT_S) -> None:
        """Show the line after so many seconds of silence; nothing on what is no terminal."""
        with self._lock:
            if self._fd is None or self._over is not None:
                return
            self._over = threading.Event()
            self._thread = threading.Thread(
                target=self._draw, args=(self._over, silent_s), daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """Remove the line, since something else is going to be there."""
        with self._lock:
            if self._over is not None:
                self._over.set()
                self._over = None
            if self._drawn:
                self._drawn = False
                self._put(_CLEAR)

    def leave(self) -> None:
        """Remove the line and wait for its thread: what follows has none that it did not start."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def _draw(self, over: threading.Event, wait: float) -> None:
        begun = time.monotonic()
        while not over.wait(wait):
            wait = _EVERY_S
            with self._lock:
                if not over.is_set():
                    self._drawn = True
                    self._put(_CLEAR + _line(time.monotonic() - begun)[:_WIDEST])

    def _put(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._fd or 2, text.encode("ascii", "replace"))


class Announced:
    """A stream that ends the line before it writes; else the stream itself."""

    def __init__(self, stream: Any, working: Working) -> None:
        self._stream, self._working = stream, working

    def write(self, what: Any) -> Any:
        """Write, where the line was."""
        self._working.end()
        return self._stream.write(what)

    @property
    def buffer(self) -> Announced:
        """The bytes below, which end the line likewise."""
        return Announced(self._stream.buffer, self._working)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


#: of this process, once `announce` was called
_CURRENT: list[Working] = []


def announce() -> None:
    """Begin, and have stdout and stderr end it: a file that stdout goes to does not disturb it."""
    working = Working(sys.stderr)
    if not working.is_shown:
        return
    _CURRENT[:] = [working]
    sys.stderr = Announced(sys.stderr, working)
    if not _is_file(sys.stdout):
        sys.stdout = Announced(sys.stdout, working)
    working.begin(_soon_s())


def begin() -> None:
    """Show the line again if the command is silent from now on."""
    for working in _CURRENT:
        working.begin()


def end() -> None:
    """Show no line, as long as the silence is meant."""
    for working in _CURRENT:
        working.end()


@contextmanager
def in_another_process(text: str) -> Iterator[None]:
    """Show the line from another process: for a command that forks, which no thread may see.

    The thread that showed it until now is gone when this process forks.
    """
    for current in _CURRENT:
        current.leave()
    working = Working(sys.stderr)
    if not working.is_shown:
        yield
        return
    parent, soon_s = os.getpid(), _soon_s()
    pid = os.fork()
    if not pid:
        NOW.note(text)
        _draw_for(parent, working, soon_s)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.write(sys.stderr.fileno(), _CLEAR.encode())


def _draw_for(parent: int, working: Working, soon_s: float) -> None:
    """Draw until the parent is gone or kills this process, which has nothing to undo."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    working.begin(soon_s)
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
    os._exit(0)


def _soon_s() -> float:
    """Return in how many seconds the line should show, so soon after the start of the process."""
    return max(0.0, min(_SILENT_S, _START_S - _age_s()))


def _age_s() -> float:
    """Return for how long this process runs; 0 where /proc does not say."""
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - light
            started = int(file.read().rpartition(b")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def _line(seconds: float) -> str:
    part = "" if NOW.part is None else f", {min(NOW.part, 1.0):.0%}"
    return f"umtrace: {NOW.text}{part} ... {seconds:.0f} s"


def _terminal(stream: TextIO) -> int | None:
    """Return the descriptor of a terminal that knows how to clear a line; else None."""
    try:
        able = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return stream.fileno() if able else None
    except (OSError, ValueError):
        return None


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
