"""The length of normal grace periods on this host, measured while a recorder runs.

Designs that put mounts later do that after a normal grace period (docs/whatif.md). Where umounts
wait for expedited ones, the rows do not show how long it is.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from umtrace.pipeline.run import Run
from umtrace.pipeline.ticks import Tick
from umtrace.search_path import python_child

#: so many lengths are kept of a long run, each as likely as any other
MOST_KEPT = 256
SWITCHED_OFF = "switched off by --no-calibration"
_BYTES = 65536
_PATIENCE_S = 0.2
_CHILD = "umtrace.kernel.membarrier_child"


class Calibration:
    """A sink that has another process call membarrier(2), and keeps how long that takes.

    The reader never waits for it: the process is in a grace period most of the time that it works,
    and is left there at the end.

    Parameters
    ----------
    wanted : bool
        False measures nothing, and says so.

    Attributes
    ----------
    calls : int
        How many lengths came.
    lengths_ns : list of int
        At most `MOST_KEPT` of them.
    why : str or None
        Why there are none, or no more.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self.calls = 0
        self.lengths_ns: list[int] = []
        self.why: str | None = None if wanted else SWITCHED_OFF
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._random = random.Random(0)  # noqa: S311 - a sample, no secret

    @contextmanager
    def opened(self, _run: Run) -> Iterator[None]:
        """Start the process; end it with the run."""
        if self.why is None:
            self._start()
        try:
            yield
        finally:
            self._end()

    def take(self, _tick: Tick) -> None:
        """Read what it has measured; never wait."""
        if self._process is None or self._process.stdout is None:
            return
        try:
            read = os.read(self._process.stdout.fileno(), _BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            self._note(line.decode("utf-8", "replace"))
        if not read:
            self._end()
            self.why = self.why or "the process that measures ended"

    def finish(self) -> None:
        """Nothing is left."""

    def to_dict(self) -> dict[str, Any]:
        """Return what meta.json has: None is not known, ``why`` says why."""
        return {
            "by": "membarrier",
            "calls": self.calls,
            "lengths_ns": list(self.lengths_ns) or None,
            "why": self.why,
        }

    def _note(self, line: str) -> None:
        if not line.isdecimal():
            self.why = line
            return
        self.calls += 1
        if len(self.lengths_ns) < MOST_KEPT:
            self.lengths_ns.append(int(line))
        elif (place := self._random.randrange(self.calls)) < MOST_KEPT:
            self.lengths_ns[place] = int(line)

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                python_child(_CHILD),
                stdin=subprocess.PIPE,  # its end ends the process, even if the recorder was killed
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # it must not keep a mount busy
                start_new_session=True,  # Ctrl-C is for the recorder only
            )
        except OSError as error:
            self.why = f"no process for it: {error.strerror}"
            return
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def _end(self) -> None:
        """End the process; one that is in a grace period ends after it, and is not waited for."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
