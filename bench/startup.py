"""What starting costs, and what stays in memory: `record` to probes attached, `--help`, `report`.

sudo .venv/bin/python -m bench.startup --repeat 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.loops import Loops, scratch
from bench.memory import resident
from bench.tools import SYSCALLS, NotHereError, Tool, running, umtrace

_COMMAND = [sys.executable, "-m", "umtrace"]
_SMALL = Path(__file__).resolve().parent.parent / "recordings"


def ready(tool: Tool, repeat: int, umounts: int = 2000) -> dict[str, Any]:
    """Return seconds to ready, and the memory in MiB after some umounts (root, BPF).

    The first start warms what there is to warm, and stands apart.
    """
    seconds, memory = [], {}
    with scratch() as name:
        loops = Loops(Path(name))
        for number in range(repeat + 1):
            try:
                with running(tool, Path(name) / str(number)) as tracer:
                    seconds.append(tracer.ready_s)
                    if number == repeat:
                        loops.run("umount", umounts)
                        time.sleep(0.5)
                        memory = resident(tracer.process.pid)
            except NotHereError as error:  # noqa: PERF203 - a handful of starts
                return {"what": tool.name, "refused": str(error)}
    waits = isinstance(tool.ready, float)  # says nothing: its start cannot be told
    told = {} if waits else {"first_s": seconds[0], **_spread(seconds[1:])}
    return {"what": tool.name, **told, **memory}


# A child's peak is at least its parent's memory: a small parent, which also takes the time.
_PARENT = """
import os, sys, time
began = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(time.monotonic() - began, used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def command(repeat: int, *words: str) -> dict[str, Any]:
    """Return seconds and peak MiB of a umtrace command."""
    seconds, peak = [], 0.0
    line = [sys.executable, "-I", "-S", "-c", _PARENT, *_COMMAND, *words]
    for _ in range(repeat + 1):
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        took, kib = done.stderr.split()[-2:]
        seconds.append(float(took))
        peak = float(kib)
    what = " ".join(Path(word).name for word in words)
    return {"what": f"umtrace {what}", **_spread(seconds[1:]), "peak_mib": peak / 1024}


def small_recording() -> Path:
    """Return a bundled recording."""
    return min(_SMALL.glob("*.umt"))


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(command(given.repeat, "--help")), flush=True)
    print(json.dumps(command(given.repeat, "report", str(small_recording()))), flush=True)
    for tool in (umtrace("tracepoint", kept=True), *SYSCALLS):
        print(json.dumps(ready(tool, given.repeat)), flush=True)


if __name__ == "__main__":
    main()
