"""What starting costs, and what stays in memory: `record` to probes attached, `--help`.

sudo .venv/bin/python -m bench.startup --repeat 5
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_COMMAND = [sys.executable, "-m", "umtrace"]


def record(repeat: int) -> dict[str, Any]:
    """Return seconds to ready and the memory of a recorder in MiB (root, BPF)."""
    seconds, memory = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(repeat + 1):  # the first warms the page cache
            ready, told = os.pipe()
            began = time.monotonic()
            command = [
                *_COMMAND,
                "record",
                "-q",
                "--tier",
                "tracepoint",
                "-o",
                f"{scratch}/{number}",
            ]
            recorder = subprocess.Popen([*command, "--ready-fd", str(told)], pass_fds=[told])
            os.close(told)
            with os.fdopen(ready) as line:
                line.readline()
            seconds.append(time.monotonic() - began)
            if number == repeat:
                exercise = [*_COMMAND, "exercise", "--sync", "50"]
                subprocess.run(exercise, check=True, stdout=subprocess.DEVNULL)
                time.sleep(0.5)
                memory = _memory(recorder.pid)
            recorder.terminate()
            recorder.wait()
    return {"what": "record", **_spread(seconds[1:]), **memory}


def help_text(repeat: int) -> dict[str, Any]:
    """Return seconds and peak MiB of `umtrace --help`."""
    seconds, peak = [], 0
    for _ in range(repeat + 1):
        began = time.monotonic()
        child = subprocess.Popen([*_COMMAND, "--help"], stdout=subprocess.DEVNULL)
        _pid, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.monotonic() - began)
        peak = used.ru_maxrss
    return {"what": "--help", **_spread(seconds[1:]), "peak_mib": peak / 1024}


def _memory(pid: int) -> dict[str, float]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    anonymous = sizes["Anonymous"]
    return {
        "rss_mib": sizes["Rss"], "pss_mib": sizes["Pss"], "anonymous_mib": anonymous,
        "mapped_mib": sizes["Rss"] - anonymous,
    }  # fmt: skip


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    for measure in (help_text, record):
        print(json.dumps(measure(given.repeat)), flush=True)


if __name__ == "__main__":
    main()
