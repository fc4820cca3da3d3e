"""A measurement in a process of its own, with an end."""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def in_child(work: Callable[..., None], given: tuple[Any, ...], limit_s: float) -> dict[str, Any]:
    """Return what ``work(*given, answer)`` puts into the queue ``answer``.

    A process that dies, or takes longer than ``limit_s`` and is killed, gives ``{"failed": why}``.
    """
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=work, args=(*given, answer))
    process.start()
    end = time.monotonic() + limit_s
    result: dict[str, Any] = {"failed": f"gave up after {limit_s:g} s"}
    while time.monotonic() < end:
        alive = process.is_alive()  # asked before the last look: it may answer and end
        with suppress(queue.Empty):
            result = answer.get(timeout=0.2)
            break
        if not alive:
            result = {"failed": f"ended with {process.exitcode}"}
            break
    else:
        process.kill()
    process.join()
    return result
