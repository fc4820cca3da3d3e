"""Run the benches of this host and write docs/overhead.md, its picture and bench/results/.

    make bench                         # root for what attaches probes
    .venv/bin/python -m bench --parts drain correlate

A part that is left out, or that the time does not allow, keeps its last results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bench import calls, correlate, drain, page, programs, scale, slowdown, startup, tools

_HERE = Path(__file__).resolve().parent
RESULTS = _HERE / "results"
Rows = Iterable[dict[str, Any]]


def _drain(_given: argparse.Namespace) -> Rows:
    return (drain.measure(way, 2, rate) for rate in drain.RATES for way in drain.WAYS)


def _correlate(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for events in given.events:
        for tier in ("tracepoint", "fentry"):
            for way in correlate.WAYS:
                # The plain ways keep everything: minutes and gigabytes beyond that.
                if way in correlate.STREAMING or events <= 1_000_000:
                    yield correlate.measure(way, tier, events)


def _startup(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield startup.command(given.repeat, "--help")
    yield startup.command(given.repeat, "report", str(startup.small_recording()))
    live = (tools.umtrace("tracepoint", kept=True), *tools.SYSCALLS) if given.root else ()
    yield from (startup.ready(tool, given.repeat) for tool in live)


def _scale(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for rows in given.rows:
        yield from scale.rows_read(rows, scale.FEW)


#: part -> what measures it, and whether it needs root
PARTS: dict[str, tuple[Callable[[argparse.Namespace], Rows], bool]] = {
    "slowdown": (lambda g: slowdown.samples(tools.SYSCALLS, slowdown.COUNTS, g.repeat), True),
    "calls": (lambda g: calls.measure(tools.SYSCALLS, 64, 200, min(g.repeat, 3)), True),
    "programs": (lambda _g: programs.measure(tools.SYSCALLS, programs.COUNTS), True),
    "drain": (_drain, True),
    "correlate": (_correlate, False),
    "startup": (_startup, False),
    "scale": (_scale, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=14, help="start no measurement after that")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=_HERE.parent / "docs" / "overhead.md")
    given = parser.parse_args()
    given.root = os.geteuid() == 0
    end = time.monotonic() + given.minutes * 60
    for part in given.parts:
        rows = _run(part, given, end)
        if rows:
            _keep(given.results / "host.json", part, rows)
    page.write(given.results, given.page)


def _keep(out: Path, part: str, rows: list[dict[str, Any]]) -> None:
    """Put the results of a part in place of its last ones; another part may run meanwhile."""
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    results[part] = rows
    results.setdefault("hosts", {})[part] = _host()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")


def _run(part: str, given: argparse.Namespace, end: float) -> list[dict[str, Any]]:
    measure, needs_root = PARTS[part]
    if needs_root and not given.root:
        print(f"bench: {part} needs root: left out", flush=True)
        return []
    rows = []
    began = time.monotonic()
    if began < end:
        for row in measure(given):
            rows.append(row)
            if time.monotonic() > end:
                print(f"bench: {part} was cut short by --minutes", flush=True)
                break
    print(f"bench: {part}: {len(rows)} results, {time.monotonic() - began:.0f} s", flush=True)
    return rows


def _host() -> dict[str, Any]:
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpus": os.cpu_count(), "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release().split("-")[0], "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0],
    }  # fmt: skip


if __name__ == "__main__":
    main()
