"""SIGINT and SIGTERM become a flag, so that no call is made and then not logged."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SLICE_S: Final = 0.02


class Stop:
    """Whether the run was asked to end early, and by which signal."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the signal."""
        deadline = time.monotonic() + seconds
        while not self and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))


@contextmanager
def catch_signals() -> Iterator[Stop]:
    """Catch the signals while inside; off the main thread Python cannot, and they act as before."""
    stop = Stop()

    def remember(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.signum = stop.signum or signum

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {signum: signal.signal(signum, remember) for signum in SIGNALS}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
