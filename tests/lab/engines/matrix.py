"""Run engines one after the other on this kernel; a line of JSON for each run.

``python -m tests.lab.engines.matrix OUT TIER ENGINE=COUNT…``. An engine that ends in ``-systemd``
runs under a systemd of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.lab.engines.judge import judge, lines, plain_row

MOST_ROWS = 20
PATIENCE_S = 1500


def one(out, tier, engine, count):
    """Run one, and return what to write down."""
    folder = out / f"{engine}-{count}-{tier}"
    workload = ("tests.lab.engines.workload", engine, str(count), folder, "--tier", tier)
    command = [sys.executable, "-m", *workload]
    if engine.endswith("-systemd"):
        command = [sys.executable, "-m", "tests.lab.engines.under_systemd", *command]
    said = {"engine": engine, "containers": count, "tier": tier, "kernel": os.uname().release}
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return {**said, "failed": f"not done in {PATIENCE_S} s"}
    if done.returncode or not (folder / "truth.json").exists():
        return {**said, "failed": (done.stdout + done.stderr)[-1500:]}
    found = judge(folder)
    for line in lines(found):
        sys.stderr.write(f"{line}\n")
    amiss = [
        {"verdict": verdict, "of": name, **plain_row(row)}
        for verdict, name, row in found.amiss[:MOST_ROWS]
    ]
    counts = {name: found.counts[name] for name in ("right", "missing", "wrong")}
    others = [plain_row(row) for row in found.others]
    named = sum(row.get("container") is not None for row in found.others)
    return {
        **said, **counts, "others": len(others), "others_with_container": named,
        "amiss": amiss, "first_others": others[:MOST_ROWS],
    }  # fmt: skip


def main(out, tier, *wanted):
    """Run all that is wanted; OUT/engines.jsonl has the results."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "engines.jsonl").open("a") as results:
        for word in wanted:
            engine, _, count = word.partition("=")
            results.write(json.dumps(one(out, tier, engine, int(count))) + "\n")
            results.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
