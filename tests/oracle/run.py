"""Record the workload under tiers, one after the other, and say what does not agree.

    python -m tests.oracle.run WORKLOAD FOLDER FILES [TIER...]

Runs here and in the lab's guests; prints a line of JSON for each tier. FOLDER holds what is made.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.oracle import ledger
from tests.oracle.compare import differences, seen_all_the_same
from umtrace.records.tiers import names

UMTRACE = [sys.executable, "-m", "umtrace"]
_WAIT_S = 300


def observe(tier: str, workload: Path, folder: Path, files: int) -> dict[str, Any]:
    """Record one run of the workload and compare; the tier must attach."""
    folder.mkdir(parents=True)
    place, written, recording = folder / "place", folder / "ledger", folder / "r.umt"
    place.mkdir()
    command = [str(workload), str(written), str(place), str(files)]
    if shutil.which("mkfs.ext4"):
        command.append(str(ledger.make_image(folder / "image")))
    traced = ["record", "-q", "--tier", tier, "-o", str(recording), "--", *command]
    done = subprocess.run(
        [*UMTRACE, *traced], capture_output=True, text=True, timeout=_WAIT_S, check=False
    )
    if done.returncode:
        return {"failed": f"status {done.returncode}: {done.stderr[-2000:]}"}
    meta = json.loads((recording / "meta.json").read_text())
    export = [*UMTRACE, "export", str(recording), "--to", "jsonl"]
    lines = subprocess.run(export, capture_output=True, text=True, timeout=_WAIT_S, check=True)
    rows = [json.loads(line) for line in lines.stdout.splitlines()]
    known = ledger.read(written)
    return {
        "tier": meta["tier"],
        "lost": {n: c for n, c in meta["losses"].items() if isinstance(c, int) and c},
        "umounts": sum(entry.origin == "umount" for entry in known.entries),
        "kinds": len({entry.kind for entry in known.entries}),
        "skipped": known.skipped,
        "differences": differences(known, rows, meta["clock"], tier),
        "seen": seen_all_the_same(known, rows, meta["clock"], tier),
    }


def main() -> None:
    """Go through the tiers, all by default; each is printed as it ends."""
    workload, folder, files, *tiers = sys.argv[1:]
    for tier in tiers or names():
        found = observe(tier, Path(workload), Path(folder) / tier, int(files))
        print(json.dumps({"asked": tier, **found}), flush=True)  # noqa: T201 - its result


if __name__ == "__main__":
    main()
