"""What the checks of the ftrace tier share: a recorder, a ledger, and tracefs as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

TRACEFS = Path("/sys/kernel/tracing")
UMTRACE = [sys.executable, "-m", "umtrace"]
failures = []

#: files of tracefs that are no knobs: reading them takes events away, waits, or differs anyway
_NO_KNOBS = frozenset({
    "trace", "trace_pipe", "trace_pipe_raw", "free_buffer", "snapshot", "snapshot_raw",
    "trace_marker", "trace_marker_raw", "per_cpu", "saved_cmdlines", "saved_tgids",
    "kprobe_profile", "uprobe_profile", "dyn_ftrace_total_info", "touched_functions",
    "available_filter_functions", "available_filter_functions_addrs", "printk_formats",
    "format", "hist", "hist_debug", "id", "trace_stat", "README", "eval_map", "error_log",
    "available_events",
})  # fmt: skip


def check(what: str, expected: object, seen: object) -> None:
    ok = expected == seen
    verdict, instead = ("ok", "") if ok else ("WRONG", f", not {expected}")
    print(f"{verdict}  {what}: {seen}{instead}", flush=True)
    if not ok:
        failures.append(what)


def recorder(path: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [*before, *UMTRACE, "record", "-q", "-o", str(path), "--ready-fd", str(write_end), *options],
        pass_fds=[write_end], text=True, stderr=subprocess.PIPE)  # fmt: skip
    os.close(write_end)
    with os.fdopen(read_end) as ready:
        if ready.readline() != "ready\n":
            sys.exit(f"WRONG  the recorder did not start: {process.communicate()[1]}")
    return process


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    _, errors = process.communicate(timeout=300)
    if process.returncode:
        check("exit status of a recorder", 0, f"{process.returncode}: {errors[-2000:]}")


def exercise(*workload: str) -> dict:
    command = [*UMTRACE, "exercise", "--json", *workload]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def rows(path: Path) -> list[dict]:
    command = [*UMTRACE, "export", str(path), "--to", "jsonl"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def under(found: list[dict], ledger: dict) -> list[dict]:
    return [r for r in found if (r["path"] or "").startswith(ledger["root"] + "/")]


def meta(path: Path) -> dict:
    return json.loads((path / "meta.json").read_text())


def knobs(*below: Path) -> dict[str, str]:
    """Return every knob of tracefs with what it holds, and every event and instance."""
    found = {}
    for top in below or (TRACEFS,):
        for folder, names, files in os.walk(top):
            names[:] = [name for name in names if name not in _NO_KNOBS]
            found[folder] = ""
            for name in files:
                if name not in _NO_KNOBS:
                    found[f"{folder}/{name}"] = _text(Path(folder, name))
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name) != after.get(name)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        return str(error)


def main(*parts: Callable[[Path], None]) -> None:
    """Run the parts named on the command line, or all."""
    with TemporaryDirectory() as name:
        for part in parts:
            if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
                continue
            began = monotonic()
            part(Path(name))
            print(f"      {part.__name__}: {monotonic() - began:.0f} s", flush=True)
    sys.exit(bool(failures))
