"""What `make bench-lab` runs inside a guest; one line of JSON for every sample.

python -m bench.guest counts|tree|grace|starts|records|calls [WORD...]

Words choose the tools whose names hold one of them; all without any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from bench import calls, records, slowdown, startup
from bench.tools import ALONE, FUNCTIONS, MOUNTSNOOP, ONE_FUNCTION, STARTS, Tool, umtrace

TASKS, UMOUNTS = 64, 10
#: mounts of the namespaces that end, and namespaces that an umount is spread to
SIZES, MOST, SPREAD = (0, 1, 100, 1500), 10_000, (0, 1, 100)
_OF_MOST = 5
_NO_TREES = ("record, ftrace", "trace-cmd")  # they store every function of every mount


def counts(words: Sequence[str]) -> None:
    """One CPU whose clock counts instructions: all loops."""
    loops = {"stat": 2100, "open": 2100, "switch": 1050, "umount": 100}
    _say("counts", slowdown.samples(_chosen(FUNCTIONS, words), loops, 1))


def tree(words: Sequence[str]) -> None:
    """One such CPU: the end of a mount namespace, as the task that leaves it waits for it.

    And an umount that is spread to other namespaces.
    """
    loops = {f"{kind}-{size}": 9 for kind in ("copy", "own") for size in SIZES}
    loops |= {f"copy-{MOST}": _OF_MOST} | {f"spread-{size}": 9 for size in SPREAD}
    tools = [tool for tool in FUNCTIONS if not any(word in tool.name for word in _NO_TREES)]
    _say("tree", slowdown.samples(_chosen((ALONE, *tools), words), loops, 1))


def grace(words: Sequence[str]) -> None:
    """Two such CPUs: an umount, for whose grace period the other one is interrupted."""
    left_out = ("light", "record, ftrace", "trace-cmd")  # one CPU says enough of these
    tools = [tool for tool in FUNCTIONS if not any(word in tool.name for word in left_out)]
    _say("grace", slowdown.samples(_chosen((ALONE, *tools), words), {"umount": 300}, 1))


def starts(words: Sequence[str]) -> None:
    """One such CPU: to probes attached."""
    startup.ready(umtrace("tracepoint"), 0)  # reads what there is to read
    _say("starts", (startup.ready(tool, 1, umounts=100) for tool in _chosen(STARTS, words)))


def written(words: Sequence[str]) -> None:
    """One such CPU: what an umount writes."""
    _say("records", records.measure(_chosen(records.TOOLS, words)))


def calls_seen(words: Sequence[str]) -> None:
    """Two CPUs that run as they can: what is seen of 64 tasks at once, start-up, memory."""
    counted = [tool for tool in FUNCTIONS if tool.seen and "light" not in tool.name]
    counted.remove(MOUNTSNOOP)
    ours, *others = counted
    tools = _chosen([ours, MOUNTSNOOP, *ONE_FUNCTION, *others], words)
    _say("calls", calls.measure(tools, TASKS, UMOUNTS))


def _chosen(tools: Sequence[Tool], words: Sequence[str]) -> list[Tool]:
    return [tool for tool in tools if not words or any(word in tool.name for word in words)]


def _say(part: str, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps({"part": part, **row}), flush=True)


PARTS = {
    "counts": counts, "tree": tree, "grace": grace, "starts": starts,
    "records": written, "calls": calls_seen,
}  # fmt: skip

if __name__ == "__main__":
    PARTS[sys.argv[1]](sys.argv[2:])
