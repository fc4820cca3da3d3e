"""The table of costs in README.md, from what is in bench/results/."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.slowdown import summary
from bench.tools import KEPT, MOUNTSNOOP
from bench.tree_page import MANY, each_more

_RESULTS = Path(__file__).with_name("results")
_OURS = "umtrace record, "
_FILLING = re.compile(r"-bpfcc|,? on the four|, the four|,| -e umount2")
_LAB = "`make bench-lab`"
#: instructions by which two untraced loops differ
_NOISE = 30
Row = dict[str, Any]
Cells = tuple[str, str]
Line = tuple[str, str, str, str]


def costs() -> list[Line]:
    """Return the lines of the table: what, umtrace, other tools, command."""
    host, lab = _read("host"), _read("lab-6.12")
    here = f"host, Linux {host['hosts']['calls']['kernel']}"
    there = f"lab, Linux {'.'.join(lab['lab']['kernel'].split('.')[:2])}"
    return [
        (f"umounts seen, 64 tasks at once; {here}", *_seen(host["calls"]), _by("calls")),
        (f"the same; {there}", *_seen(lab["calls"]), _LAB),
        (f"time added to a `stat`; {here}", *_slower(host["slowdown"]), _by("slowdown")),
        (f"instructions added to a `stat`; {there}", *_added(lab["counts"], "stat"), _LAB),
        (f"instructions added to an umount; {there}", *_added(lab["counts"], "umount"), _LAB),
        ("to each further mount of a namespace that ends", *_each_mount(lab["tree"]), _LAB),
        ("to an umount on two CPUs", *_added(lab["grace"], "umount"), _LAB),
        (f"events to rows; {here}", *_correlate(host["correlate"]), _by("correlate")),
        (f"events drained without a drop; {here}", *_drain(host["drain"]), _by("drain")),
        (f"start of `record`; {here}", *_start(host["startup"]), _by("startup")),
        (f"instructions until attached; {there}", *_starts(lab["starts"]), _LAB),
        ("resident memory in that run", *_memory(lab["starts"]), _LAB),
    ]


def _read(name: str) -> Row:
    found: Row = json.loads((_RESULTS / f"{name}.json").read_text())
    return found


def _by(bench: str) -> str:
    return f"`python -m bench.{bench}`"


def _is_ours(row: Row) -> bool:
    return str(row.get("tool") or row["what"]).startswith(_OURS)


def _tier(name: str) -> str:
    tier, *probes = name.removeprefix(_OURS).split(", ")
    return f"`{tier}` light" if "light" in probes else f"`{tier}`"


def _ours(rows: Iterable[Row], figure: Callable[[Row], str]) -> str:
    """Return a figure of each tier; tiers of the same figure share it."""
    tiers: dict[str, list[str]] = {}
    for row in rows:
        if _is_ours(row):
            tiers.setdefault(figure(row), []).append(_tier(str(row.get("tool") or row["what"])))
    return "; ".join(f"{', '.join(names)}: {value}" for value, names in tiers.items())


def _peers(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not _is_ours(row) and row.get("tool") != "nothing"]


def _seen(rows: Sequence[Row]) -> Cells:
    def share(row: Row) -> str:
        seen = [100 * n / row["there_were"] for n in row["seen"] if n is not None]
        low, high = f"{min(seen):.0f}", f"{max(seen):.0f}"
        return f"{low} %" if low == high else f"{low} to {high} %"

    good = [row for row in rows if row["seen"]]
    said = [f"{_FILLING.sub('', row['tool'])} {share(row)}" for row in _peers(good)]
    return _ours(good, share), "; ".join(said)


def _range(rows: Sequence[Row], value: Callable[[Row], float], text: Callable[[Row], str]) -> str:
    """Return the least and the most of the other tools, by name."""
    first, *others = sorted(_peers(rows), key=value)
    return " to ".join(
        f"{text(row)} ({_FILLING.sub('', row['tool']).removesuffix(' (libbpf)')})"
        for row in (first, *others[-1:])
    )


def _slower(samples: Sequence[Row]) -> Cells:
    def text(row: Row) -> str:
        loop = row["loops"]["stat"]
        return f"{loop['added_ns']:.0f} ns, {(loop['ratio'] - 1) * 100:.0f} %"

    rows = [row for row in summary(samples) if "loops" in row]
    return _ours(rows, text), _range(rows, lambda row: row["loops"]["stat"]["added_ns"], text)


def _added(samples: Sequence[Row], loop: str) -> Cells:
    def value(row: Row) -> float:
        return float(row["loops"][loop]["added_ns"])

    def text(row: Row) -> str:
        added = round(value(row))
        return f"{added:,}" if abs(added) >= _NOISE else f"less than {_NOISE}"

    rows = [row for row in summary(samples) if loop in row.get("loops", {})]
    plain = [row["loops"][loop]["untraced_ns"] for row in rows]
    low, high = f"{min(plain):,.0f}", f"{max(plain):,.0f}"
    return (
        f"{_ours(rows, text)}; untraced {low if low == high else f'{low} to {high}'}",
        _range(rows, value, text),
    )


def _each_mount(samples: Sequence[Row]) -> Cells:
    def value(row: Row) -> float:
        return each_more(row, MANY)

    def text(row: Row) -> str:
        return f"{abs(round(value(row))):,}"

    rows = [row for row in samples if "refused" not in row]
    return _ours(rows, text), _range(rows, value, text)


def _correlate(rows: Sequence[Row]) -> Cells:
    ours = [row["events_per_cpu_s"] / 1e6 for row in rows if row["way"] == "umtrace"]
    plain = [row["events_per_cpu_s"] / 1e6 for row in rows if row["way"].endswith("Arrow")]
    most = max(row["events"] for row in rows if row["way"] == "umtrace")
    return (
        f"{min(ours):.1f} to {max(ours):.1f} million a CPU second, up to {most:,} events",
        f"a plain state machine, {min(plain):.2f} to {max(plain):.2f} million",
    )


def _drain(rows: Sequence[Row]) -> Cells:
    def fastest(way: str) -> str:
        whole = [r["offered_per_s"] for r in rows if r["way"] == way and not r["dropped"]]
        return f"{max(whole) / 1e6:.1f} million a second"

    peers = ("bcc ring buffer", "bcc perf buffer")
    return fastest("umtrace"), "; ".join(f"{way} {fastest(way)}" for way in peers)


def _start(rows: Sequence[Row]) -> Cells:
    kept, compiled = (
        next(row["median_s"] for row in rows if row["what"] == f"umtrace record, tracepoint{end}")
        for end in (KEPT, "")
    )
    peers = [r for r in _peers(rows) if "median_s" in r and not r["what"].startswith("umtrace")]
    named = [{**row, "tool": row["what"]} for row in peers]
    return (
        f"`tracepoint`: {kept:.2f} s with cached programs, {compiled:.2f} s without",
        _range(named, lambda row: float(row["median_s"]), lambda row: f"{row['median_s']:.2f} s"),
    )


def _starts(rows: Sequence[Row]) -> Cells:
    def text(row: Row) -> str:
        return f"{row['median_s']:.2f} with cached programs, {row['first_s']:.2f} without"

    ours = [{**row, "what": row["what"].removesuffix(KEPT)} for row in rows]
    peer = next(row for row in rows if row["what"] == MOUNTSNOOP.name)
    return f"in 10⁹, {_ours(ours, text)}", f"bcc's mountsnoop {peer['median_s']:.2f}"


def _memory(rows: Sequence[Row]) -> Cells:
    ours = [{**row, "what": row["what"].removesuffix(KEPT)} for row in rows]
    peer = next(row for row in rows if row["what"] == MOUNTSNOOP.name)
    said = _ours(ours, lambda row: f"{row['rss_mib']:.0f} MiB")
    return said, f"bcc's mountsnoop {peer['rss_mib']:.0f} MiB"
