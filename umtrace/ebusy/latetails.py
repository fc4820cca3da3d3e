"""Lazy umounts with a file system that lives longer than their row was held back."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from umtrace.ebusy.attempts import Attempt
from umtrace.ebusy.tails import tail_window
from umtrace.model.evidence import Walk
from umtrace.model.windows import EbusyWindow

_MOST = 4096
_MOST_PUTS = 16384
#: ns of event time after which no row comes that needs a put: a row is held back no longer
_NEEDED_NS = 5_000_000_000


class LateTails:
    """Joins an umount and the last put of its mount, which may be known in any order.

    The file system of a lazy umount may live for days. The row has ``pending`` after some seconds,
    and the window waits for the task that puts the last reference.

    Attributes
    ----------
    forgotten : int
        Umounts and puts that were dropped before the other of the two was known.
    """

    def __init__(self, offset_ns: int) -> None:
        self._offset = offset_ns
        self._waiting: dict[int, Attempt] = {}  # by mount
        self._puts: deque[Walk] = deque(maxlen=_MOST_PUTS)
        self.forgotten = 0

    def put(self, put: Walk) -> list[EbusyWindow]:
        """Return the window that this put ends."""
        attempt = self._waiting.pop(put.mnt, None)
        if attempt is None:
            full = len(self._puts) == _MOST_PUTS
            self.forgotten += full and put.ts_ns - self._puts[0].ts_ns < _NEEDED_NS
            self._puts.append(put)
            return []
        return [self._window(attempt, put)]

    def pending(self, attempt: Attempt, mnt: int) -> list[EbusyWindow]:
        """Take an umount without its last put, which was not seen in time; return what is over."""
        known = (p for p in self._puts if p.mnt == mnt)
        put = next((p for p in known if p.ts_ns + self._offset >= attempt.end_ns), None)
        if put is not None:
            return [self._window(attempt, put)]
        self._waiting[mnt] = attempt
        if len(self._waiting) <= _MOST:
            return []
        self.forgotten += 1
        return _unended(self._waiting.pop(next(iter(self._waiting))))

    def finish(self) -> list[EbusyWindow]:
        """Return the windows of file systems that still live."""
        rest, self._waiting = self._waiting, {}
        return [window for attempt in rest.values() for window in _unended(attempt)]

    def _window(self, attempt: Attempt, put: Walk) -> EbusyWindow:
        tail_ns = max(put.ts_ns + self._offset - attempt.end_ns, 0)
        ended = replace(attempt, final_put="other", final_put_comm=put.comm, tail_ns=tail_ns)
        window = tail_window(ended, [put])
        assert window is not None  # noqa: S101 - its final_put is that of a deferred put
        return window


def _unended(attempt: Attempt) -> list[EbusyWindow]:
    window = tail_window(attempt)
    return [window] if window is not None else []
