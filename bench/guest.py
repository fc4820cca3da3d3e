"""What `make bench-lab` runs inside a guest; one line of JSON for every sample.

python -m bench.guest calls|times|counts|starts REPEAT
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from bench import calls, slowdown, startup
from bench.tools import FUNCTIONS, MOUNTSNOOP, ONE_FUNCTION, STARTS

TASKS, UMOUNTS = 64, 10


def calls_seen(_repeat: int) -> None:
    """Two CPUs: what is seen of 64 tasks at once, start-up, memory."""
    counted = [tool for tool in FUNCTIONS if tool.seen and "light" not in tool.name]
    counted.remove(MOUNTSNOOP)
    ours, *others = counted
    _say("calls", calls.measure([ours, MOUNTSNOOP, *ONE_FUNCTION, *others], TASKS, UMOUNTS))


def times(repeat: int) -> None:
    """Two CPUs: the p50 of umount, a ratio within the run."""
    _say("times", slowdown.samples(FUNCTIONS, {"umount": 300}, repeat))


def counts(repeat: int) -> None:
    """One CPU whose clock counts instructions: all loops."""
    loops = {"stat": 2100, "open": 2100, "switch": 1050, "umount": 100}
    _say("counts", slowdown.samples(FUNCTIONS, loops, repeat))


def starts(repeat: int) -> None:
    """One CPU whose clock counts instructions: to probes attached."""
    _say("starts", (startup.ready(tool, repeat, umounts=100) for tool in STARTS))


def _say(part: str, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps({"part": part, **row}), flush=True)


if __name__ == "__main__":
    {"calls": calls_seen, "times": times, "counts": counts, "starts": starts}[sys.argv[1]](
        int(sys.argv[2])
    )
