"""Record the workload under tiers, one after the other, and say what does not agree.

    python -m tests.oracle.run WORKLOAD FOLDER FILES [TIER...]

Runs here and in the lab's guests; prints a line of JSON for each tier as it ends, and ends with 1
if anything does not agree. FOLDER holds what is made. fentry-light is the
fentry tier with --probes light.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.oracle import ledger
from tests.oracle.compare import differences, seen_all_the_same
from tests.oracle.tiers import LIGHT
from umtrace.model.losses import LossReport
from umtrace.model.tiers import names

UMTRACE = [sys.executable, "-m", "umtrace"]
_WAIT_S = 600
_TRIES = 2


def observe(tier: str, workload: Path, folder: Path, files: int) -> dict[str, Any]:
    """Record one run of the workload and compare; ``failed`` says why there is nothing to.

    ``seconds`` has how long each step took, and all of them.
    """
    clock = _Clock()
    try:
        found = _observed(tier, workload, folder, files, clock)
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        found = {"failed": f"{type(error).__name__}: {error}"}
    return {**found, "seconds": clock.seconds()}


class _Clock:
    def __init__(self) -> None:
        self._marks = [("", time.monotonic())]

    def mark(self, step: str) -> None:
        """Say that a step has ended."""
        self._marks.append((step, time.monotonic()))

    def seconds(self) -> dict[str, float]:
        begin = self._marks[0][1]
        pairs = zip(self._marks, self._marks[1:])  # noqa: B905 - one less
        took = {step: round(end - before, 1) for (_, before), (step, end) in pairs}
        return {**took, "all": round(time.monotonic() - begin, 1)}


def _observed(tier: str, workload: Path, folder: Path, files: int, clock: _Clock) -> dict[str, Any]:
    folder.mkdir(parents=True)
    place, written, recording = folder / "place", folder / "ledger", folder / "r.umt"
    place.mkdir()
    command = [str(workload), str(written), str(place), str(files)]
    if shutil.which("mkfs.ext4"):
        command.append(str(ledger.make_image(folder / "image")))
    probes = "light" if tier.endswith(LIGHT) else "full"
    name = tier.removesuffix(LIGHT)
    traced = [
        "record",
        "-q",
        "--tier",
        name,
        "--probes",
        probes,
        "-o",
        str(recording),
        "--",
        *command,
    ]
    done = subprocess.run(
        [*UMTRACE, *traced], capture_output=True, text=True, timeout=_WAIT_S, check=False
    )
    clock.mark("record")
    if done.returncode:
        return {"failed": f"status {done.returncode}: {done.stderr[-2000:]}"}
    meta = json.loads((recording / "meta.json").read_text())
    export = [*UMTRACE, "export", str(recording), "--to", "jsonl"]
    lines = subprocess.run(export, capture_output=True, text=True, timeout=_WAIT_S, check=True)
    clock.mark("export")
    rows = [json.loads(line) for line in lines.stdout.splitlines()]
    known = ledger.read(written)
    if meta["losses"].get("probe_misses"):
        known = known.bounded_late()
    return {
        "tier": meta["tier"],
        "lost": LossReport.from_dict(meta["losses"]).lost(),
        "umounts": sum(entry.origin == "umount" for entry in known.entries),
        "kinds": len({entry.kind for entry in known.entries}),
        "skipped": known.skipped,
        "differences": differences(known, rows, meta["clock"], tier),
        "seen": seen_all_the_same(known, rows, meta["clock"], tier),
    }


def wrong(found: Mapping[str, Any]) -> list[str]:
    """Return all that does not agree."""
    return [found["failed"]] if "failed" in found else found["differences"] + found["seen"]


def main() -> int:
    """Go through the tiers, all by default; each is printed as it ends."""
    workload, folder, files, *tiers = sys.argv[1:]
    status = 0
    for tier in tiers or names():
        for again in range(_TRIES):
            found = observe(tier, Path(workload), Path(folder, f"{tier}{again}"), int(files))
            if not (found.get("lost") and wrong(found)):  # else the host may have been too busy
                break
        print(json.dumps({"asked": tier, **found}), flush=True)  # noqa: T201 - its result
        status |= int(bool(wrong(found)))
    return status


if __name__ == "__main__":
    sys.exit(main())
