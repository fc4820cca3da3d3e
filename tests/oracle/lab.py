"""Every tier on kernels of the lab beside the ledger of the workload.

    python -m tests.oracle.lab KERNEL...

One boot each, one after the other. Prints what does not agree; status 1 if anything does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.oracle import ledger

INSIDE = "scripts/kernel-check oracle"


def main() -> int:
    """Go through the kernels."""
    kernels = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        carried, out = Path(folder) / "in", Path(folder) / "out"
        carried.mkdir()
        ledger.build(carried / "workload")
        command = ["run-all", "--kernels", ",".join(kernels), "--jobs", "1", "--timeout", "900"]
        command += ["--in", str(carried), "--out", str(out)]
        subprocess.run([sys.executable, "-m", "lab", *command, "--", INSIDE], check=False)
        said = [_said(kernel, out / kernel / "oracle.jsonl") for kernel in kernels]
        return max(said, default=1)


def _said(kernel: str, file: Path) -> int:
    if not file.is_file():
        print(f"{kernel}: no result")  # noqa: T201 - a command
        return 1
    return max(
        [_of_tier(kernel, json.loads(line)) for line in file.read_text().splitlines()] or [1]
    )


def _of_tier(kernel: str, found: dict[str, Any]) -> int:
    wrong = [found["failed"]] if "failed" in found else found["differences"] + found["seen"]
    rows = f"{found.get('umounts', 0)} umounts of {found.get('kinds', 0)} kinds"
    skipped = f", without {', '.join(found['skipped'])}" if found.get("skipped") else ""
    print(f"{kernel} {found['asked']}: {rows}{skipped}: {len(wrong)} wrong")  # noqa: T201
    for line in wrong:
        print(f"  {line}")  # noqa: T201
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
