"""The lab's tables of docs/overhead.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import page, tree_page
from bench.slowdown import summary
from bench.table import table, wrapped
from bench.tools import KEPT, MOUNTSNOOP

Row = dict[str, Any]


def part(results: Row) -> str:
    """Return the tables of one kernel."""
    lab = results["lab"]
    measured = ", ".join(f"{name} {day}" for name, day in lab["days"].items())
    said = wrapped(
        f"`make bench-lab` ({measured}): an emulated PC (QEMU TCG), the peers of Debian 12 (bcc "
        "0.26, bpftrace 0.17, perf 6.1, trace-cmd 3.1) and the kernel's headers for bcc's tools. "
        "umtrace uses no headers."
    )
    intro = f"# In the lab: Linux {lab['kernel']}\n\n{said}\n"
    parts = [intro]
    for name, write in (
        ("counts", _counts),
        ("tree", tree_page.trees),
        ("records", _records),
        ("grace", _grace),
        ("calls", page.calls_table),
        ("calls", _start),
        ("starts", _starts),
    ):
        if results.get(name):
            parts.append(write(results[name]))
    return "\n".join(parts)


def _counts(samples: Sequence[Row]) -> str:
    rows = []
    for row in summary(samples):
        if "refused" in row:
            rows.append((row["tool"], f"did not run: {row['refused']}", *[""] * 5))
            continue
        loops = row["loops"]
        added = (_added(loops.get(loop)) for loop in ("stat", "open", "switch", "umount"))
        rows.append((row["tool"], *added, f"{row['ready_s']:.1f}", f"{row['rss_mib']:.0f} MiB"))
    return table(
        "Instructions that a tracer adds",
        ("tracer", "stat", "open and close", "context switch", "umount(2), p50", "start, 10⁹",
         "resident"),
        rows,
        "One CPU whose clock advances by a nanosecond for each instruction (QEMU `-icount "
        "shift=0`): the speed of the emulation has no effect. Untraced in brackets. A wait counts "
        "as the instructions that run meanwhile. The start is until the probes are attached. The "
        "first tool finds nothing in memory yet, and perf is given a fixed time.",
    )  # fmt: skip


def _added(loop: Row | None) -> str:
    if loop is None:
        return "-"
    return f"{loop['added_ns']:+,.0f} ({loop['untraced_ns']:,.0f}), {loop['ratio']:.2f} x"


def _grace(samples: Sequence[Row]) -> str:
    rows = []
    for row in summary(samples):
        loop = row.get("loops", {}).get("umount")
        rows.append((row["tool"], _added(loop) if loop else f"did not run: {row['refused']}"))
    return table(
        "Instructions that pass in an umount, two CPUs",
        ("tracer", "umount(2), p50"),
        rows,
        "As above, but the grace period has a second CPU to interrupt, and the instructions of "
        "that CPU count too. `nothing` is the difference of two runs without any tracer.",
    )


def _records(rows: Sequence[Row]) -> str:
    known = [row for row in rows if "records" in row]
    kinds = ("umounts", "events", "names")
    stored = [sum(row[f"{kind}_bytes"] for kind in kinds) for row in known]
    return table(
        "What an umount of a tmpfs writes",
        ("tracer", "records of the ring", "their bytes", "events", "texts", "bytes on disk",
         "times that the reader woke"),
        [
            (r["tool"], f"{r['records']:.1f}", f"{r['ring_bytes']:,.0f}", f"{r['events_rows']:.1f}",
             f"{r['names_rows']:.1f}", f"{whole:.1f}, {r['umounts_bytes']:.1f} of them the row",
             f"{r['wakes']} in {r['umounts']:,} umounts, {r['wall_s']:.2f} s")
            for r, whole in zip(known, stored, strict=True)
        ],
        "One CPU as above. A second tracer counts what is reserved in the rings, and reads nothing "
        "else; the headers are in the bytes. The mounts between the umounts write nothing.",
    )  # fmt: skip


def _start(rows: Sequence[Row]) -> str:
    return table(
        "Start and memory, two emulated CPUs",
        ("tracer", "start to attached", "memory"),
        [
            (r["tool"], f"{r['ready_s']:.1f} s",
             f"{r['rss_mib']:.0f} MiB resident, {r['anonymous_mib']:.0f} anonymous")
            for r in rows if r.get("rss_mib")
        ],
        "Emulated seconds; memory after the 64 tasks. perf does not say when it is ready: it is "
        "given a fixed time.",
    )  # fmt: skip


def _starts(rows: Sequence[Row]) -> str:
    known = [row for row in rows if "median_s" in row]
    peer = next((row["median_s"] for row in known if row["what"] == MOUNTSNOOP.name), None)
    said = []
    for row in known:
        if row["what"].endswith(KEPT) and "first_s" in row:
            said.append((row["what"].removesuffix(KEPT), *_start_over(row["first_s"], peer), "-"))
        said.append((row["what"], *_start_over(row["median_s"], peer), f"{row['rss_mib']:.0f} MiB"))
    return table(
        "Start to probes attached, in instructions",
        ("tracer", "start, 10⁹", "mountsnoop's over it", "resident"),
        said,
        "One CPU whose clock advances by a nanosecond for each instruction; all files that are "
        "read are in memory. The first start of a tier compiles, as mountsnoop does each time. The "
        "second, on the same kernel, finds its programs in the cache (`programs kept`).",
    )  # fmt: skip


def _start_over(seconds: float, peer: float | None) -> tuple[str, str]:
    return f"{seconds:.2f}", f"{peer / seconds:.1f} x" if peer else "-"
