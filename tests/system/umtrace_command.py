"""Runs the real command line, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

COMMAND = [sys.executable, "-m", "umtrace"]


def umtrace(*args, **options):
    """Run to the end and return the completed process, with text output."""
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([*COMMAND, *map(str, args)], check=False, **options)


def start_recording(path, *args):
    """Start `record` and wait until its probes are attached."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "record", "-q", "-o", str(path), "--ready-fd", str(write_end), *args],
        pass_fds=[write_end],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    with os.fdopen(read_end) as ready:
        assert ready.readline() == "ready\n", process.communicate()[1]
    return process


def record_exercise(path, *workload):
    """Record an exercise; returns its ledger and the recorder's exit status."""
    exercise = [*COMMAND, "exercise", "--json", *map(str, workload)]
    done = umtrace("record", "-q", "--tier", "tracepoint", "-o", path, "--", *exercise)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_under(path, root):
    """Return the recorded rows whose path lies under a directory: others unmount things too."""
    done = umtrace("export", path, "--to", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row for row in rows if (row["path"] or "").startswith(f"{root}/")]


def outcome(rows):
    """Return how often each path ended how."""
    return Counter((row["path"], row["mode"], row["errno"], row["tid"]) for row in rows)


def losses(path):
    """Return the loss ledger of a recording."""
    return json.loads((path / "meta.json").read_text())["losses"]
