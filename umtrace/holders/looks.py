"""Second looks: who is there every time holds it, who is missing once passes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from umtrace.holders import procfs
from umtrace.holders.procfs import Open

#: Somebody who opens and closes in a loop is missing at one of these; a holder never is.
LOOKS = 24
LOOKS_SPAN_S = 0.014
#: of a task that waits for a CPU every look shows the same: so many must show something
_MOST_FROZEN = LOOKS // 2


class Looked(NamedTuple):
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
    frozen: int = 0
    missing_ns: int | None = None

    def look(self, clock: Callable[[], int]) -> None:
        if not self.opened.still():
            self.looks += 1
            if self.missing_ns is None:
                self.missing_ns = clock()
            return
        waiting, ran_ns = procfs.running(self.opened.pid, self.opened.tid)
        if waiting and ran_ns is not None and ran_ns == self.ran_ns:
            self.frozen += 1
            return
        self.ran_ns = ran_ns
        self.seen, self.looks = self.seen + 1, self.looks + 1

    def result(self) -> Looked:
        if self.frozen > _MOST_FROZEN:
            self.looks += 1  # not known: never called a holder
        return Looked(self.seen, self.looks, self.missing_ns)


def look_again(
    opened: Sequence[Open | None], clock: Callable[[], int] = time.time_ns
) -> list[Looked]:
    """Look for LOOKS_SPAN_S at each of them.

    What is None, or mapped, is seen once: it does not come and go.
    """
    watched = {
        index: _Watched(one, procfs.running(one.pid, one.tid)[1])
        for index, one in enumerate(opened)
        if one is not None and one.kind != "maps"
    }
    for _ in range(LOOKS - 1 if watched else 0):
        time.sleep(LOOKS_SPAN_S / (LOOKS - 1))
        for one in watched.values():
            one.look(clock)
    return [watched[i].result() if i in watched else Looked() for i in range(len(opened))]
