"""Run the benches and write docs/overhead.md and bench/results/.

make bench                         # what runs on this host; root for the recorder and the ring
.venv/bin/python -m bench --events 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from bench import correlate, drain, startup

_HERE = Path(__file__).resolve().parent
_PAGE = _HERE.parent / "docs" / "overhead.md"
Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_HERE / "results" / "host.json")
    parser.add_argument("--page", type=Path, default=_PAGE)
    given = parser.parse_args()
    results: dict[str, Any] = {"host": _host(), "drain": [], "correlate": [], "startup": []}
    if os.geteuid() == 0:
        results["drain"] = [drain.measure(way, given.seconds) for way in drain.WAYS]
        results["startup"].append(startup.record(given.repeat))
    results["startup"].append(startup.help_text(given.repeat))
    for tier in ("tracepoint", "fentry"):
        for events in given.events:
            # The plain ways take minutes, and gigabytes, beyond a million events.
            ways = correlate.WAYS if events <= 1_000_000 else ("umtrace",)
            results["correlate"] += [correlate.measure(way, tier, events) for way in ways]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(results, indent=1) + "\n")
    given.page.write_text(page(results))


def _host() -> dict[str, Any]:
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpus": os.cpu_count(), "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(), "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0],
    }  # fmt: skip


def page(results: dict[str, Any]) -> str:
    """Return docs/overhead.md."""
    host = results["host"]
    intro = (
        "# What umtrace costs\n\nWritten by `make bench`; the numbers are in `bench/results/`. "
        f"{host['cpus']} CPUs ({host['cpu']}), Linux {host['kernel']}, Python {host['python']}, "
        f"{host['day']}, load average at the end of the run {host['load']:.1f}. "
        "Compare within a table, not across machines.\n"
    )
    parts = [
        intro,
        _drain(results["drain"]),
        _correlate(results["correlate"]),
        _startup(results["startup"]),
        (_HERE / "notes.md").read_text(),
    ]
    return "\n".join(part for part in parts if part)


def _drain(rows: Rows) -> str:
    if not rows:
        return ""
    base = next(r["events_per_cpu_s"] for r in rows if r["way"] == "bcc ring buffer")
    return _table(
        "Emptying the ring (`python -m bench.drain`)",
        ("reader", "events per CPU s", "against bcc's ring", "offered per s", "dropped"),
        [
            (
                r["way"], f"{r['events_per_cpu_s'] / 1e6:.2f} M",
                f"{r['events_per_cpu_s'] / base:.1f} x", f"{r['offered_per_s'] / 1e6:.1f} M",
                f"{r['dropped'] / max(r['sent'] + r['dropped'], 1):.1%}",
            )
            for r in rows
        ],
    )  # fmt: skip


def _correlate(rows: Rows) -> str:
    return _table(
        "Events to rows (`python -m bench.correlate`), one core",
        ("stream", "way", "events", "events per CPU s", "peak memory"),
        [
            (
                r["tier"], r["way"], f"{r['events']:,}", f"{r['events_per_cpu_s'] / 1e6:.2f} M",
                f"{r['peak_mib']:.0f} MiB",
            )
            for r in rows
        ],
    )  # fmt: skip


def _startup(rows: Rows) -> str:
    return _table(
        "Start and memory (`python -m bench.startup`)",
        ("command", "median", "spread", "memory"),
        [
            (
                f"umtrace {r['what']}", f"{r['median_s'] * 1e3:.0f} ms",
                f"{r['min_s'] * 1e3:.0f} to {r['max_s'] * 1e3:.0f} ms",
                f"{r['peak_mib']:.0f} MiB peak" if "peak_mib" in r else
                f"{r['rss_mib']:.0f} MiB resident: {r['anonymous_mib']:.0f} anonymous, "
                f"{r['mapped_mib']:.0f} mapped; PSS {r['pss_mib']:.0f}",
            )
            for r in rows
        ],
    )  # fmt: skip


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
