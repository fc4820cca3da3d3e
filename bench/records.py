"""What an umount writes: records of the ring, events, bytes on disk; how often the reader wakes.

    sudo .venv/bin/python -m bench.records

Records are counted by a second tracer, at the kernel's function that reserves them: bpftrace, whose
probe is not run inside a program on a kprobe, so only the fentry tier can be counted so.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.loops import Loops, scratch
from bench.size import columns
from bench.tools import NotHereError, Tool, bpftrace, running, umtrace

UMOUNTS = 1000
#: that many bytes before each record of a ring, which has a multiple of 8
HEADER, ALIGNED = 8, 8
WATCH = bpftrace(
    "bpftrace, records of the ring",
    'kprobe:bpf_ringbuf_reserve /comm == "loops"/ { @n[arg1] = count(); }',
)
TOOLS = (umtrace("fentry"), umtrace("fentry", "light"))


def measure(tools: Sequence[Tool], umounts: int = UMOUNTS) -> Iterator[dict[str, Any]]:
    """Yield what an umount of a tmpfs writes under each tool, the umount's share of the rest."""
    with scratch() as name:
        loops = Loops(Path(name))
        for place, tool in enumerate(tools):
            try:
                with running(tool, Path(name) / str(place)) as tracer:
                    sizes = _reserved(loops, Path(name) / f"{place}-watched", umounts)
                    # Once more without the second tracer, which takes the CPU from the reader.
                    wakes, began = _switches(tracer.process.pid), time.monotonic()
                    loops.run("umount", umounts)
                    wakes, took = _switches(tracer.process.pid) - wakes, time.monotonic() - began
                recording = tracer.folder / "out"
                yield {
                    "tool": tool.name, "umounts": umounts, **_records(sizes, umounts),
                    **_stored(recording, 2 * umounts), "wakes": wakes, "wall_s": took,
                }  # fmt: skip
            except NotHereError as error:  # noqa: PERF203 - two tools
                yield {"tool": tool.name, "refused": str(error)}


def _reserved(loops: Loops, folder: Path, umounts: int) -> dict[int, int]:
    with running(WATCH, folder):
        loops.run("umount", umounts)
    return counted((folder / "printed").read_text())


def counted(printed: str) -> dict[int, int]:
    """Return how many records of each size in bytes the second tracer has counted."""
    found = re.findall(r"^@n\[(\d+)\]: (\d+)$", printed, re.MULTILINE)
    return {int(size): int(number) for size, number in found}


def _records(sizes: dict[int, int], umounts: int) -> dict[str, Any]:
    whole = sum(n * (-(-size // ALIGNED) * ALIGNED + HEADER) for size, n in sizes.items())
    return {
        "sizes": {str(size): n / umounts for size, n in sorted(sizes.items())},
        "records": sum(sizes.values()) / umounts,
        "ring_bytes": whole / umounts,
    }


def _stored(recording: Path, umounts: int) -> dict[str, float]:
    """Return rows of events and of texts for each umount, and its bytes on disk by table."""
    found: dict[str, float] = {}
    for kind in ("umounts", "events", "names"):
        rows, sizes = columns(recording, kind)
        found |= {f"{kind}_rows": rows / umounts, f"{kind}_bytes": sum(sizes.values()) / umounts}
    return found


def _switches(pid: int) -> int:
    """Return how often the threads of a process went to sleep, and woke."""
    texts = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(re.findall(r"^voluntary_ctxt_switches:\t(\d+)", t, re.M)[0]) for t in texts)


def main() -> None:
    for row in measure(TOOLS):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
