"""Samples: a holder is in every sample, a walker is missing from one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from umtrace.holders import looking
from umtrace.holders.asker import asker
from umtrace.holders.procfs import Open


class Sample(NamedTuple):
    """In how many samples it was seen, and when it was first missing, ns; see `Holder`."""

    seen: int = 1
    looks: int = 1
    missing_ns: int | None = None


_PATIENCE_S = 10.0  # it always answers; on a loaded host it may wait long for a CPU
#: of something that could not be sampled, which is not called a holder
_NOT_SAMPLED = Sample(1, 2)


def resample(
    opened: Sequence[Open | None], clock: Callable[[], int] = time.time_ns, patience_s: float = 0.0
) -> list[Sample]:
    """Sample each of them for SAMPLES_SPAN_S, and running tasks up to ``patience_s`` longer.

    A mapping, or None, counts as seen once: it does not come and go. Times are in seconds.
    """
    found = looking.samples(_links(opened), patience_s, clock)
    return _all_of(opened, [Sample(*each) for each in found])


def resample_apart(
    opened: Sequence[Open | None], clock: Callable[[], int] = time.time_ns
) -> list[Sample]:
    """Do the same as `resample` in the child process of this thread, which has its priority."""
    links = _links(opened)
    try:
        found = _ask(links) if links else []
    except OSError:
        return _all_of(opened, [_NOT_SAMPLED] * len(links))
    ahead = clock() - time.monotonic_ns()
    samples = [
        Sample(seen, looks, None if missing is None else missing + ahead)
        for seen, looks, missing in found
    ]
    return _all_of(opened, samples)


def _ask(links: list[tuple[bytes, bytes, bytes]]) -> list[tuple[int, int, int | None]]:
    found: list[tuple[int, int, int | None]] = asker().ask("samples", links, patience_s=_PATIENCE_S)
    return found


def _is_sampled(opened: Open | None) -> bool:
    return opened is not None and opened.kind != "maps"


def _links(opened: Sequence[Open | None]) -> list[tuple[bytes, bytes, bytes]]:
    return [
        (
            b"/proc/%d/task/%d" % (one.pid, one.tid),
            os.fsencode(one.link),
            os.fsencode(one.reads or one.path),
        )
        for one in opened
        if one is not None and _is_sampled(one)
    ]


def _all_of(opened: Sequence[Open | None], samples: Sequence[Sample]) -> list[Sample]:
    left = iter(samples)
    return [next(left) if _is_sampled(one) else Sample() for one in opened]
