"""The command that `record` runs: started late, waited for, never left behind."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from umtrace.model.errors import UsageError
from umtrace.model.stopping import StopSignals

if TYPE_CHECKING:
    from umtrace.sources.base import Follower

_PATIENCE = 2  # signals until we stop waiting for the command
_POLL_S = 0.05


class Child:
    """Runs COMMAND with our stdin and stdout; passes signals on that a terminal would not."""

    def __init__(
        self,
        command: Sequence[str],
        signals: StopSignals,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """``on_end`` is called in another thread, as soon as the command has ended."""
        self._command, self._on_end = list(command), on_end
        self._signals = signals
        self._passed_on = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started_ns = 0
        self.ran_ns: int | None = None  #: how long it ran; None while it has not ended

    @property
    def given(self) -> bool:
        """Whether there is a command to run."""
        return bool(self._command)

    def __enter__(self) -> Child:
        """Raise UsageError when there is no such command, before anything else is done."""
        if self.given and shutil.which(self._command[0]) is None:
            raise UsageError(f"cannot run '{self._command[0]}': not found, or not executable")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A failed recording does not take the command down with it.
        if self._process and kind is None:
            self._process.wait()

    def start(self, follower: Follower | None = None) -> None:
        """Start the command, if there is one; ``follower`` then knows its processes.

        Raises
        ------
        UsageError
            It cannot be started.
        """
        if not self.given:
            return
        self._started_ns = time.monotonic_ns()
        try:
            with follower.starting() if follower else nullcontext():
                self._process = subprocess.Popen(self._command)
        except OSError as error:
            raise UsageError(f"cannot run '{self._command[0]}': {error.strerror}") from error
        threading.Thread(target=self._see_end, args=(self._process.pid,), daemon=True).start()

    def _see_end(self, pid: int) -> None:
        """Note when it ends: whoever asks whether it is done does so up to four times a second."""
        with suppress(OSError):  # it is over already, and was waited for
            pidfd = os.pidfd_open(pid)
            try:
                select.select([pidfd], [], [])
                self.ran_ns = time.monotonic_ns() - self._started_ns
            finally:
                os.close(pidfd)
            self._on_end()

    @property
    def done(self) -> bool:
        """Whether it has ended, or we were told to stop so often that we do not wait."""
        self._pass_on()
        if self._process is None or self._signals.received >= _PATIENCE:
            return True
        return self._process.poll() is not None

    def _pass_on(self) -> None:
        # Ctrl-C reaches the whole foreground group by itself; a kill reaches only us.
        if self._process and self._signals.received > self._passed_on:
            self._passed_on = self._signals.received
            if self._signals.last not in (None, signal.SIGINT):
                self._process.send_signal(self._signals.last or signal.SIGTERM)

    def wait(self) -> int:
        """Return its exit status as a shell would give it: 128 + n when killed by signal n.

        Of a command that two signals did not end, 128 + the number of the last one.
        """
        if self._process is None:
            return 0
        status = None
        while status is None:
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(_POLL_S)
            self._pass_on()
            if status is None and self._signals.received >= _PATIENCE:
                return 128 + (self._signals.last or signal.SIGINT)
        return status if status >= 0 else 128 - status
