"""Samples: a holder is in every sample, a walker is missing from one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from umtrace.holders import procfs
from umtrace.holders.procfs import Open

#: A task that opens and closes in a loop is missing from one of these; a holder never is.
SAMPLES = 24
SAMPLES_SPAN_S = 0.014
#: While a task waits for a CPU, all samples of it are equal; at least so many must be valid.
_FEWEST_SAMPLES = SAMPLES // 2
#: A timer tick during an open(2) often preempts the task when the file is open. Most samples of a
#: task that competes for a CPU then show the file, so such a task needs more samples.
_MOST_SAMPLES = 4 * SAMPLES


class Sample(NamedTuple):
    """In how many samples it was seen, and when it was first missing, ns; see `Holder`."""

    seen: int = 1
    looks: int = 1
    missing_ns: int | None = None


@dataclass(slots=True)
class _Watched:
    opened: Open
    ran_ns: int | None
    seen: int = 1
    samples: int = 1
    ran: bool = False
    missing_ns: int | None = None

    def sample(self, clock: Callable[[], int]) -> None:
        if not self.opened.still():
            self.samples += 1
            if self.missing_ns is None:
                self.missing_ns = clock()
            return
        waiting, ran_ns = procfs.running(self.opened.pid, self.opened.tid)
        self.ran = self.ran or waiting
        if waiting and ran_ns is not None and ran_ns == self.ran_ns:
            return
        self.ran_ns = ran_ns
        self.seen, self.samples = self.seen + 1, self.samples + 1

    def undecided(self) -> bool:
        """Whether more samples may show that it is no holder."""
        return self.ran and self.seen == self.samples < _MOST_SAMPLES

    def result(self) -> Sample:
        known = self.samples >= _FEWEST_SAMPLES or self.seen < self.samples
        # With too few samples it is not called a holder.
        return Sample(self.seen, self.samples if known else self.samples + 1, self.missing_ns)


def resample(
    opened: Sequence[Open | None], clock: Callable[[], int] = time.time_ns, patience_s: float = 0.0
) -> list[Sample]:
    """Sample each of them for SAMPLES_SPAN_S, and running tasks up to ``patience_s`` longer.

    A mapping, or None, counts as seen once: it does not come and go. Times are in seconds.
    """
    watched = {
        index: _Watched(one, procfs.running(one.pid, one.tid)[1])
        for index, one in enumerate(opened)
        if one is not None and one.kind != "maps"
    }
    pause_s = SAMPLES_SPAN_S / (SAMPLES - 1)
    for _ in range(SAMPLES - 1 if watched else 0):
        _sample_all(watched.values(), pause_s, clock)
    until = time.monotonic() + patience_s
    while (left := [w for w in watched.values() if w.undecided()]) and time.monotonic() < until:
        _sample_all(left, pause_s, clock)
    return [watched[i].result() if i in watched else Sample() for i in range(len(opened))]


def _sample_all(watched: Iterable[_Watched], pause_s: float, clock: Callable[[], int]) -> None:
    time.sleep(pause_s)
    for one in watched:
        one.sample(clock)
