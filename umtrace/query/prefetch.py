"""Read the next batches while the last one is worked on: two cores instead of one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")
_DEPTH = 4


class _End:
    """What the reader puts last: the error that stopped it, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[_T], depth: int = _DEPTH) -> Iterator[_T]:
    """Yield the same items in the same order, up to ``depth`` of them taken in advance.

    They are taken in a thread, which pays where taking one waits for the disk or
    decompresses. An error in it is raised here; whoever stops early stops the thread.
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
