"""A measurement in a process of its own, with an end."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable
from typing import Any


def in_child(work: Callable[..., None], given: tuple[Any, ...], limit_s: float) -> dict[str, Any]:
    """Return what ``work(*given, answer)`` puts into the queue ``answer``.

    After ``limit_s`` the process is killed and the result says so: ``{"gave_up_after_s": ...}``.
    """
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=work, args=(*given, answer))
    process.start()
    try:
        result: dict[str, Any] = answer.get(timeout=limit_s)
    except queue.Empty:
        process.kill()
        result = {"gave_up_after_s": limit_s}
    process.join()
    return result
