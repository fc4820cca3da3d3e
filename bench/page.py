"""docs/overhead.md: tables of what is in bench/results/, whoever measured it when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import lab_page, plot
from bench.slowdown import summary
from bench.table import table, wrapped

_NOTES = Path(__file__).with_name("notes.md")
Row = dict[str, Any]
_INTRO = """# What umtrace costs

Written by `make bench` (this host) and `make bench-lab` (real kernels under emulation) from the
numbers in `bench/results/`. Compare figures only within a table, which is one run, never across
tables or machines. `-` is not measured. A tool that did not run has the reason.
"""
_PICTURE = "![What each tool adds](overhead.svg)\n"


def write(results: Path, page: Path) -> None:
    """Write the page and its picture from the results in a folder."""
    host = _read(results / "host.json")
    labs = {path.stem: _read(path) for path in sorted(results.glob("lab-*.json"))}
    picture = page.with_name("overhead.svg")
    shown = plot.draw(host, labs, picture)
    parts = [
        _INTRO,
        _PICTURE if shown else "",
        _host_parts(host),
        *map(lab_page.part, labs.values()),
        _NOTES.read_text(),
    ]
    page.write_text("\n".join(part for part in parts if part))


def _read(path: Path) -> Row:
    found: Row = json.loads(path.read_text()) if path.exists() else {}
    return found


def _host_parts(host: Row) -> str:
    writers = {
        "slowdown": _slowdown, "programs": _programs, "calls": calls_table, "drain": _drain,
        "correlate": _correlate, "startup": _startup, "scale": _scale,
    }  # fmt: skip
    parts = [
        write(host[part]) + _measured(host["hosts"][part])
        for part, write in writers.items()
        if host.get(part)
    ]
    return "\n".join(parts)


def _measured(host: Row) -> str:
    return (
        "\n"
        + wrapped(
            f"{host['day']}, {host['cpus']} CPUs ({host['cpu']}), Linux {host['kernel']}, Python "
            f"{host['python']}, load average afterwards {host['load']:.1f}"
            f"{' (a busy machine)' if host['load'] > host['cpus'] * 0.75 else ''}."
        )
        + "\n"
    )


def _slowdown(samples: Iterable[Row]) -> str:
    rows = []
    for row in summary(samples):
        if "refused" in row:
            rows.append((row["tool"], f"did not run: {row['refused']}", "", ""))
            continue
        rows.append((row["tool"], *(ratio(row["loops"][loop]) for loop in row["loops"])))
    pairs = max((row.get("pairs", 0) for row in summary(samples)), default=0)
    return table(
        "How much slower work gets (`python -m bench.slowdown`)",
        ("tracer", "stat", "open and close", "p50 of umount(2)"), rows,
        f"Traced against untraced, median (range) of {pairs} pairs; CPU time for the walks. The "
        "tracepoint tier follows every system call and every context switch; the others listen to "
        "umount(2) alone and see no RCU wait, no shutdown.",
    )  # fmt: skip


def ratio(loop: Row) -> str:
    """Return a ratio with its range and what it comes to."""
    unit, size = ("µs", 1e3) if loop["untraced_ns"] > 9_999 else ("ns", 1)
    return (
        f"{loop['ratio']:.2f} ({loop['least']:.2f} to {loop['most']:.2f}), "
        f"{loop['added_ns'] / size:+.0f} {unit}"
    )


def _programs(rows: Sequence[Row]) -> str:
    shown = [row for row in rows if row["runs_each"] >= 0.01]
    return table(
        "In the kernel, program by program (`python -m bench.programs`)",
        ("tracer", "loop", "program", "runs an iteration", "ns a run"),
        [
            (r["tool"], r["loop"], f"`{r['program']}`", f"{r['runs_each']:.2f}",
             f"{r['ns_a_run']:.0f}")
            for r in shown
        ],
        "The kernel's own count (BPF_ENABLE_STATS, switched off at the end), two clock reads a run "
        "included: compare with the empty program. Runs for other processes count too. One umount "
        "iteration has a mount as well.",
    )  # fmt: skip


def calls_table(rows: Sequence[Row]) -> str:
    """Return the table of calls seen."""
    return table(
        "Umounts seen, 64 tasks at once (`python -m bench.calls`)",
        ("tracer", "there were", "seen, run by run", "share", "what it says of losses"),
        [
            (
                r["tool"], f"{r['there_were']:,}" if r["seen"] else "-",
                ", ".join(f"{n:,}" if n is not None else "-" for n in r["seen"])
                or f"did not run: {r.get('refused')}",
                _share(r), r.get("said") or "nothing",
            )
            for r in rows
        ],
    )  # fmt: skip


def _share(row: Row) -> str:
    shares = [n / row["there_were"] for n in row["seen"] if n is not None]
    if not shares:
        return "-"
    low, high = (f"{share:.0%}" for share in (min(shares), max(shares)))
    return low if low == high else f"{low} to {high}"


def _drain(rows: Sequence[Row]) -> str:
    good = [r for r in rows if "way" in r]
    base = next(r["events_per_cpu_s"] for r in good if r["way"] == "bcc ring buffer")
    return table(
        "Emptying the ring (`python -m bench.drain`), events of 64 bytes",
        ("asked for", "reader", "offered per s", "dropped", "events per CPU s", "against bcc's"),
        [
            (
                f"{r['rate'] / 1e6:.1f} M/s" if r["rate"] else "all it can", r["way"],
                f"{r['offered_per_s'] / 1e6:.2f} M",
                f"{r['dropped'] / max(r['sent'] + r['dropped'], 1):.1%}",
                f"{r['events_per_cpu_s'] / 1e6:.2f} M", f"{r['events_per_cpu_s'] / base:.1f} x",
            )
            for r in good
        ],
        "Sender and reader share the CPUs: a reader that takes more leaves less to the sender.",
    )  # fmt: skip


def _correlate(rows: Sequence[Row]) -> str:
    lines = []
    for r in rows:
        if "failed" in r:
            lines.append((r["tier"], r["way"], f"{r['events']:,}", r["failed"], "-", "-"))
            continue
        peers = [
            p["events_per_cpu_s"] for p in rows
            if p["way"].startswith("state machine, Arrow") and p["tier"] == r["tier"]
            and "failed" not in p
        ]  # fmt: skip
        against = f"{r['events_per_cpu_s'] / peers[0]:.1f} x" if peers else "-"
        lines.append(
            (r["tier"], r["way"], f"{r['events']:,}", f"{r['events_per_cpu_s'] / 1e6:.2f} M",
             against, f"{r['peak_mib']:.0f} MiB")
        )  # fmt: skip
    return table(
        "Events to rows (`python -m bench.correlate`), one core",
        ("stream", "way", "events", "events per CPU s", "against the state machine", "peak memory"),
        lines,
    )


def _startup(rows: Sequence[Row]) -> str:
    return table(
        "Start and memory (`python -m bench.startup`)",
        ("command", "start, median (range)", "memory"),
        [(r["what"], _start(r), _memory(r)) for r in rows],
        "A tracer's start is until its probes are attached; a command's until it ends. The memory "
        "of a tracer is taken after 2000 umounts.",
    )


def _start(row: Row) -> str:
    if "refused" in row:
        return f"did not run: {row['refused']}"
    if "median_s" not in row:
        return "- (says nothing)"
    median, least, most = (f"{row[k] * 1e3:.0f}" for k in ("median_s", "min_s", "max_s"))
    return f"{median} ms ({least} to {most})"


def _memory(row: Row) -> str:
    if "peak_mib" in row:
        return f"{row['peak_mib']:.0f} MiB peak"
    if "rss_mib" not in row:
        return "-"
    return f"{row['rss_mib']:.0f} MiB resident, {row['anonymous_mib']:.0f} anonymous"


def _scale(rows: Sequence[Row]) -> str:
    return table(
        "Recordings of many rows (`python -m bench.scale`)",
        ("rows", "what", "wall clock", "CPU", "rows per CPU s", "peak memory"),
        [
            (f"{r['rows']:,}", r["what"] + (f", {r['mb']:.0f} MB" if "mb" in r else ""),
             f"{r['s']:.1f} s", f"{r['cpu_s']:.1f} s", f"{r['rows'] / r['cpu_s'] / 1e3:,.0f} k",
             f"{r['peak_mib']:.0f} MiB")
            for r in rows if "s" in r
        ],
        "Each is a process of its own, imports included.",
    )  # fmt: skip
