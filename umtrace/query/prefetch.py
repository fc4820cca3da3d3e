"""Reads the next batches while the last one is processed, on a second core."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")
_DEPTH = 4


class _End:
    """The last item of the queue, with the error that stopped the reader (None: no error)."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[_T], depth: int = _DEPTH) -> Iterator[_T]:
    """Yield the same items in the same order, up to ``depth`` of them taken in advance.

    A thread takes them. This saves time if taking an item waits for the disk or decompresses. An
    error in the thread is raised here. If the caller stops early, the thread stops too.
    """
    ready: queue.Queue[_T | _End] = queue.Queue(depth)
    enough = threading.Event()

    def take() -> None:
        error = None
        try:
            for item in items:
                ready.put(item)
                if enough.is_set():
                    break
        except BaseException as found:
            error = found
        ready.put(_End(error))

    thread = threading.Thread(target=take, name="umtrace-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        enough.set()
        while thread.is_alive():  # it may wait for room
            with suppress(queue.Empty):
                ready.get(timeout=0.01)
        thread.join()
