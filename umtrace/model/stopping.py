"""Signals that ask a command to stop: the first asks, the second ends, the third kills."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_S = 1.0


class StopSignals:
    """Notes SIGINT, SIGTERM and SIGHUP instead of dying of them; a context manager.

    After the first signal the command finishes what it is doing. After the second it has a
    second left to do so; then KeyboardInterrupt unwinds it. A third acts as if nobody handled it,
    so that code that never returns to Python cannot keep the process alive.

    The handlers are also set where a non-interactive shell started the process in the
    background and had it ignore SIGINT. SIGHUP that is ignored, as nohup leaves it, stays so.

    Attributes
    ----------
    received : int
        How many signals came.
    first, last : int or None
        Their numbers.
    """

    def __init__(self) -> None:
        self.received = 0
        self.first: int | None = None
        self.last: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._note)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._give_up)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received += 1
        self.first = self.first or number
        self.last = number
        if self.received > 1:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)

    def _give_up(self, _number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt
