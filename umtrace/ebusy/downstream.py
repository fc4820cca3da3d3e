"""Other calls that got EBUSY, joined to the window during which they failed."""

from __future__ import annotations

from collections import deque

from umtrace.model.evidence import Failure
from umtrace.model.windows import EbusyWindow

_EBUSY = 16
_MOST = 1024


class Downstream:
    """Joins failures and windows, which may come in any order; keeps the last 1024 of each.

    Attributes
    ----------
    dropped : int
        Failures and windows that are not kept any more.
    """

    def __init__(self, offset_ns: int) -> None:
        self._offset = offset_ns
        self._failures: deque[Failure] = deque(maxlen=_MOST)
        self._windows: deque[EbusyWindow] = deque(maxlen=_MOST)
        self.dropped = 0

    def add_failures(self, failures: tuple[Failure, ...]) -> list[EbusyWindow]:
        """Return the windows of failures that happened during a window that is known already."""
        found = []
        for failure in failures:
            if failure.errno != _EBUSY:
                continue
            cause = self._cause(failure)
            if cause is None:
                self.dropped += len(self._failures) == _MOST
                self._failures.append(failure)
            else:
                found.append(_window(failure, cause, self._offset))
        return found

    def add_window(self, window: EbusyWindow) -> list[EbusyWindow]:
        """Return the windows of known failures that happened during this one."""
        self.dropped += len(self._windows) == _MOST
        self._windows.append(window)
        mine = [f for f in self._failures if _inside(f, window, self._offset)]
        for failure in mine:
            self._failures.remove(failure)
        return [_window(failure, window, self._offset) for failure in mine]

    def _cause(self, failure: Failure) -> EbusyWindow | None:
        fitting = [w for w in self._windows if _inside(failure, w, self._offset)]
        return fitting[-1] if fitting else None


def _inside(failure: Failure, window: EbusyWindow, offset_ns: int) -> bool:
    at = failure.ts_ns + offset_ns
    if at < window.begin_ns or (window.end_ns is not None and at > window.end_ns):
        return False
    same_dev = failure.dev is not None and failure.dev == window.dev
    return same_dev or (failure.path is not None and failure.path == window.path)


def _window(failure: Failure, cause: EbusyWindow, offset_ns: int) -> EbusyWindow:
    at = failure.ts_ns + offset_ns
    what = failure.path or failure.dev
    return EbusyWindow(
        klass="downstream",
        spurious=cause.spurious,
        begin_ns=at,
        end_ns=at,
        path=failure.path or cause.path,
        dev=failure.dev or cause.dev,
        umount_id=cause.umount_id,
        holders=cause.holders,
        walkers=cause.walkers,
        evidence=(
            f"{failure.syscall} of {what} by {failure.comm} ({failure.tid}) got EBUSY",
            f"inside a {cause.klass} window of umount {cause.umount_id} of {cause.path}",
        ),
        comm=failure.comm,
        pid=failure.tid,
        mntns=cause.mntns,
        tier=cause.tier,
    )
