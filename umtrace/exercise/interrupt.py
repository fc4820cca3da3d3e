"""SIGINT and SIGTERM become a flag, so that no call is made and then not logged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from umtrace.model.stopping import StopSignals

_SLICE_S: Final = 0.02


class Stop:
    """Whether the run was asked to end early, and by which signal."""

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals

    @property
    def signum(self) -> int | None:
        """Return the number of the first signal."""
        return self._signals.first

    def __bool__(self) -> bool:
        return self.signum is not None

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the signal."""
        deadline = time.monotonic() + seconds
        while not self and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))


@contextmanager
def catch_signals() -> Iterator[Stop]:
    """Catch the signals while inside; off the main thread Python cannot, and they act as before.

    A second signal ends the run within a second, without a ledger.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield Stop(signals)
        return
    with signals:
        yield Stop(signals)
