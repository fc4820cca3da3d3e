"""A live consumer in a process of its own, behind a bounded pipe.

The reader never waits for it: what does not fit into the pipe is missed and counted. A consumer
that spins, sleeps, raises or dies costs the recording nothing.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from umtrace.model.errors import UsageError
from umtrace.pipeline.run import Run
from umtrace.pipeline.ticks import Missed, Tick
from umtrace.pipeline.updates import Update, encode
from umtrace.search_path import python_child

#: a function that is called once, in the child, with the updates of a run
Consumer = Callable[[Iterator[Update]], object]

PIPE_BYTES = 1 << 20
#: the limit of a frame in memory; a larger tick is missed as a whole
MOST_BYTES = 16 << 20
TO_END_S = 2.0
_POLL_S = 0.01
_MOST_FRAMES = 4096  # after so many, the frames that were read are forgotten
_CHILD = "umtrace.pipeline.consumer_child"


class ConsumerProcess:
    """A sink that hands every tick to a function in another process.

    ::

        def screen(updates):
            for update in updates:
                print(update.rows.num_rows, "umounts;", update.missed)

        run(source, [ConsumerProcess(screen)], until=Until(seconds=60))

    Parameters
    ----------
    consumer : callable
        A function at the top level of a module, since the child imports it by its name.
    name : str, optional
        Its name in messages; that of the function by default.

    Attributes
    ----------
    missed : Missed
        What it did not get, because it was too slow or had ended.
    ended : str or None
        How it ended; empty if it returned after the last update, None while it runs.
    """

    def __init__(self, consumer: Consumer, name: str | None = None) -> None:
        self._target, self._folder = _importable(consumer)
        self.name = name or str(getattr(consumer, "__name__", "consumer"))
        self.missed = Missed()
        self.ended: str | None = None
        self._unsent = memoryview(b"")  # the rest of at most one frame
        self._sent = 0  # bytes
        self._in_pipe: deque[tuple[int, Missed]] = (
            deque()
        )  # the end of each frame, and its contents
        self._pipe, self._broken = -1, False
        self._process: subprocess.Popen[bytes]

    @contextmanager
    def opened(self, run: Run) -> Iterator[None]:
        """Start the process; end it when the run ends, also by an error."""
        self._start()
        try:
            yield
        finally:
            self._end()
            run.totals.missed[self.name] = self.missed

    def take(self, tick: Tick) -> None:
        """Send one tick if the one before is sent; never wait."""
        holds = Missed(1, tick.rows.num_rows, len(tick.ebusy.windows))
        if self._push() and len(frame := encode(tick, self.missed)) <= MOST_BYTES:
            self._unsent = memoryview(frame)
            self._in_pipe.append((self._sent + len(frame), holds))
            self._push()
            if len(self._in_pipe) > _MOST_FRAMES:
                self._forget_read()
        else:
            self.missed += holds

    @property
    def pid(self) -> int:
        """Id of its process, also after that has ended."""
        return self._process.pid

    def finish(self) -> None:
        """Give it a moment to read what is in the pipe, and to end by itself."""
        until = time.monotonic() + TO_END_S
        while self._is_behind() and not self._broken and time.monotonic() < until:
            time.sleep(_POLL_S)
        if not self._is_behind():
            self._close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(until - time.monotonic(), _POLL_S))
        self._end()

    def _end(self) -> None:
        """End the process if it has not ended, and count what it has not read by then."""
        if self.ended is not None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self.ended = f"did not end within {TO_END_S:g} s and was killed"
        status = self._process.wait()
        self.ended = self.ended or (f"ended with status {status}" if status else "")
        if self._pipe >= 0:
            self._forget_read()
            self.missed = sum((holds for _, holds in self._in_pipe), self.missed)
        self._close()

    def _is_behind(self) -> bool:
        self._push()
        return bool(self._unsent) or self._unread() > 0

    def _unread(self) -> int:
        """Return the number of bytes in the pipe."""
        size = fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4))
        return int.from_bytes(size, sys.byteorder)

    def _forget_read(self) -> None:
        read = self._sent - self._unread()
        while self._in_pipe and self._in_pipe[0][0] <= read:
            self._in_pipe.popleft()

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _start(self) -> None:
        theirs, self._pipe = os.pipe()
        try:
            os.set_blocking(self._pipe, False)
            with suppress(OSError):  # more than an ordinary user may have in pipes
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._process = subprocess.Popen(
                python_child(_CHILD, str(theirs), self._target, self._folder),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C is for the recorder only
            )
        finally:
            os.close(theirs)

    def _push(self) -> bool:
        """Write what is unsent; return whether the pipe can take the next frame."""
        try:
            while self._unsent and not self._broken:
                written = os.write(self._pipe, self._unsent)
                self._sent += written
                self._unsent = self._unsent[written:]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._broken = True
        return not self._broken


def _importable(consumer: Consumer) -> tuple[str, str]:
    """Return module:function, and the folder from which the module can be imported."""
    module = sys.modules.get(getattr(consumer, "__module__", ""))
    name = getattr(consumer, "__qualname__", "")
    file = Path(getattr(module, "__file__", None) or "")
    where = _module_name(module, file) if module is not None and file.name else ""
    if not where or not name.isidentifier():
        raise UsageError(f"{consumer!r} is no function at the top level of a module in a file")
    depth = where.count(".") + (file.name == "__init__.py")
    return f"{where}:{name}", str(file.resolve().parents[depth])


def _module_name(module: ModuleType, file: Path) -> str:
    """Return the name that another process imports a module by; empty if there is none."""
    if module.__name__ != "__main__":
        return module.__name__
    if module.__spec__ is not None:  # python -m NAME
        return module.__spec__.name
    return file.stem if file.suffix == ".py" and file.stem.isidentifier() else ""
