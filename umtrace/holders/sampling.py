"""Second looks: who is there every time holds it, who is missing once passes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from umtrace.holders import procfs
from umtrace.holders.procfs import Open

#: Somebody who opens and closes in a loop is missing at one of these; a holder never is.
SAMPLES = 24
SAMPLES_SPAN_S = 0.014
#: Of a task that waits for a CPU every look shows the same: so many must show something.
_FEWEST_SAMPLES = SAMPLES // 2
#: A tick that comes while the kernel opens a file takes the CPU away when it is open. So of a task
#: that fights for a CPU most looks, not half of them, show the file: chance needs more looks.
_MOST_SAMPLES = 4 * SAMPLES


class Sample(NamedTuple):
    """How often it was seen, in how many looks, and when it was missing for the first time."""

    seen: int = 1
    looks: int = 1
    missing_ns: int | None = None


@dataclass(slots=True)
class _Watched:
    opened: Open
    ran_ns: int | None
    seen: int = 1
    looks: int = 1
    ran: bool = False
    missing_ns: int | None = None

    def look(self, clock: Callable[[], int]) -> None:
        if not self.opened.still():
            self.looks += 1
            if self.missing_ns is None:
                self.missing_ns = clock()
            return
        waiting, ran_ns = procfs.running(self.opened.pid, self.opened.tid)
        self.ran = self.ran or waiting
        if waiting and ran_ns is not None and ran_ns == self.ran_ns:
            return
        self.ran_ns = ran_ns
        self.seen, self.looks = self.seen + 1, self.looks + 1

    def undecided(self) -> bool:
        """Whether more looks at it may tell something."""
        return self.ran and self.seen == self.looks < _MOST_SAMPLES

    def result(self) -> Sample:
        known = self.looks >= _FEWEST_SAMPLES or self.seen < self.looks
        # What is not known is never called a holder.
        return Sample(self.seen, self.looks if known else self.looks + 1, self.missing_ns)


def resample(
    opened: Sequence[Open | None], clock: Callable[[], int] = time.time_ns, patience_s: float = 0.0
) -> list[Sample]:
    """Look for SAMPLES_SPAN_S at each of them, up to ``patience_s`` longer at those that run.

    What is None, or mapped, is seen once: it does not come and go.
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
        one.look(clock)
