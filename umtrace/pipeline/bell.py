"""Raises the reader when a probe wakes it, also if it does not sleep.

While it works it has the priority that it was started with. On a loaded host an EBUSY would wait
until that work is done, which takes seconds, and its holder would be gone.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from umtrace.pipeline.pace import READER_NICE, WAITING_NICE


@contextmanager
def raised_by(bell: int | None) -> Iterator[None]:
    """Raise the calling thread whenever ``bell`` becomes readable; it lowers itself.

    Parameters
    ----------
    bell : int or None
        A descriptor (`Source.bell`); None does nothing.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if bell is None or nice <= WAITING_NICE:
        yield
        return
    end, ended = os.pipe2(os.O_CLOEXEC)
    thread = threading.Thread(
        target=_raise, args=(threading.get_native_id(), bell, end), name="umtrace-bell", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        os.close(ended)
        thread.join()
        os.close(end)
        _renice(0, nice)


def _raise(reader: int, bell: int, end: int) -> None:
    _renice(0, READER_NICE)  # of this thread
    with select.epoll() as both:
        both.register(bell, select.EPOLLIN | select.EPOLLET)  # the reader empties it
        both.register(end, select.EPOLLHUP)
        while end not in [number for number, _ in both.poll()]:
            if os.getpriority(os.PRIO_PROCESS, reader) > WAITING_NICE:
                _renice(reader, WAITING_NICE)


def _renice(thread: int, nice: int) -> None:
    with suppress(OSError):  # without the right to raise it, it stays
        os.setpriority(os.PRIO_PROCESS, thread, nice)
