"""Second looks: who is there every time holds it, who is missing once passes by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from umtrace.holders import procfs
from umtrace.holders.procfs import Open

#: Somebody who opens and closes in a loop is missing at one of these; a holder never is.
LOOKS = 24
LOOKS_SPAN_S = 0.014
#: of a task that waits for a CPU every look shows the same: so many must show something
_MOST_FROZEN = LOOKS // 2


@dataclass(slots=True)
class _Watched:
    opened: Open
    ran_ns: int | None
    seen: int = 1
    looks: int = 1
    frozen: int = 0

    def look(self) -> None:
        if not self.opened.still():
            self.looks += 1
            return
        waiting, ran_ns = procfs.running(self.opened.pid, self.opened.tid)
        if waiting and ran_ns is not None and ran_ns == self.ran_ns:
            self.frozen += 1
            return
        self.ran_ns = ran_ns
        self.seen, self.looks = self.seen + 1, self.looks + 1

    def result(self) -> tuple[int, int]:
        if self.frozen > _MOST_FROZEN:
            self.looks += 1  # not known: never called a holder
        return self.seen, self.looks


def look_again(opened: Sequence[Open | None]) -> list[tuple[int, int]]:
    """Look for LOOKS_SPAN_S; return how often each was seen, and in how many looks.

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
            one.look()
    return [watched[i].result() if i in watched else (1, 1) for i in range(len(opened))]
