"""Write docs/kernels.md from what `make lab-check` left: kernel x tier x what is seen."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import tomllib

from umtrace.model.tiers import names

COLUMNS = (
    ("phases", ("lookup_ns", "lock_ns", "tree_ns", "rcu_ns", "put_ns", "shutdown_ns")),
    ("identity", ("fstype", "dev", "mount_id", "source", "mountpoint")),
    ("sizes", ("n_mounts", "refcount")),
    ("last put", ("final_put", "tail_ns")),
    ("walkers", ("n_legitimized", "n_discounted")),
)
RT = "-rt"
HEAD = """\
# Kernels

Written by `make lab-check` (tools/kernels_table.py); do not edit. Each kernel is a real
distribution kernel under QEMU's software emulation. Counts and shares hold; absolute times do not.

## What each tier sees

**exact** means that every count of `umtrace selftest` agreed with the ledger of what was done. The
counts include one umount that takes 1,000 propagated mounts along, and 50 namespaces that exit. In
the function tiers they also include the reference counts, the origins and the last puts. A group of
columns says `yes` if the tier filled all of it, else it lists the columns that it filled.
"""
TOGETHER = """
## The tiers agree

All tiers of a kernel ran at once, over the same 55 umounts (the last part of `umtrace selftest`).
Each tier is compared with the one before.

- **same** means that both have a row for every umount, and that they agree wherever both know a
  value: path, mode, errno, task, origin, flags, namespace, cgroup, mountpoint, file system, source,
  device, mount id, number of mounts, kind of grace period, last put, reference count.
- **RCU wait** is the median of the second divided by that of the first. **apart** is the difference
  umount by umount. The probes of one lie inside what the other measures.
- The tracepoint tier knows only the time off CPU. Under emulation this leaves out much of a short
  wait. On 5.10 it has no wait beside the other tiers ("-"), because their kretprobes hide the
  callers on the stack that it reads.
"""
SHARE = """
## What the RCU wait costs

60 sync and 60 lazy umounts of an empty tmpfs, by the best tier; nothing else runs in the guest.
**share** is the RCU wait in the latency. The host is shared: an expedited grace period waits until
the other emulated CPU gets to run.
"""
AFTER_SHARE = """
On the RT kernels `rcu_normal` is 1. PREEMPT_RT sets it at the end of boot, and each expedited grace
period becomes a normal one. That waits for timer ticks, and emulation does not stretch it.
"""
PAIRS = """
PREEMPT_RT beside the same kernel without it, same workload. The times are emulated, so the factor
is only a hint:
"""
AFTER_PAIRS = """
For comparison, the 2025 patch "fs/namespace: defer RCU sync for MNT_DETACH umount" (v4, 6.15-rc1
PREEMPT_RT, `perf stat -r 10` of the whole command) took 88 % off umount -l, the start of its
process included:

| | umount | umount -l |
| --- | --- | --- |
| without the patch | 24.55 ms | 25.55 ms |
| with it | 26.31 ms | 3.19 ms |
"""
READS = """
## What the programs read

| what | until | since |
| --- | --- | --- |
| a word of the kernel | 6.1: by a call, some 80 instructions | 6.2: by a load, some 10, if `bpf_rdonly_cast` is there and programs are compiled (JIT): a35b9af4ec2c ("bpf: Add a kfunc for generic type cast"). So `n_held` counts in trees of up to 4,096 mounts and CPUs, before in those of 64 |
| references to a mount | 7.2: `mnt_count` | 7.3: `mnt_gets` less `mnt_puts` |
| the owner of `namespace_sem` | `rw_semaphore.owner` | on PREEMPT_RT the owner of its rtmutex, since 5.15: 42254105dfe8 ("locking/rwsem: Add rtmutex based R/W semaphore implementation") |
| the wait for `namespace_sem` | `rwsem_down_write_slowpath` | the same; PREEMPT_RT has only `rwbase_write_lock`, which each lock for writing calls, and which is not probed |
| the number of an expedited grace period | 6.11: computed, as `exp_funnel_lock` is inlined in the kernels of the lab | 6.12: its argument, with fentry |
| long lists of mounts | 5.16: step by step, up to 8,192, since the verifier follows each turn of a loop | 5.17: `bpf_loop`, up to a million: e6f2dd0f8067 ("bpf: Add bpf_loop helper") |

A kernel without the addresses of its variables (CONFIG_KALLSYMS_ALL) has none of the three.
"""
WITNESS = """
## Beside another tool

`rcu_ns` against bpftrace (kprobe and kretprobe on `synchronize_rcu_expedited` within
`namespace_unlock`), both at once on the same 300 umounts. The difference is some tens of
microseconds under emulation, however long the wait is. umtrace's fentry programs lie inside what
bpftrace measures, its kprobes (7 and RT, where a kernel preempts itself) around it. The ratio is
therefore worst where the wait is shortest.
"""


def main() -> None:
    """Read DIR/KERNEL/* and write the page to stdout."""
    root = Path(sys.argv[1])
    kernels = sorted((p for p in root.iterdir() if p.is_dir()), key=in_order)
    sections = (
        (HEAD, "kernel release tier selftest", [n for n, _ in COLUMNS], seen_lines),
        (TOGETHER, "kernel tiers umounts", ["said of them", "RCU wait", "apart"], together_lines),
        (
            SHARE,
            "kernel rcu_normal",
            ["grace period", "mode", "umounts", "latency p50", "RCU wait p50", "share"],
            share_lines,
        ),
    )
    for title, words, more, lines in sections:
        print(title)
        print(table([*words.split(), *more], [line for k in kernels for line in lines(k)]))
        print(not_run(kernels) if title is HEAD else "", end="")
    print(AFTER_SHARE + PAIRS)
    heads = ["kernels", "mode", "latency p50", "RCU wait p50", "share"]
    print(table(heads, [line for k in kernels for line in pair_lines(k)]))
    print(AFTER_PAIRS + READS + WITNESS)
    heads = ["kernel", "umtrace: umounts", "median", "bpftrace: calls", "median", "ratio"]
    print(table([*heads, "difference"], [witness_line(k) for k in kernels]))


def not_run(kernels: list[Path]) -> str:
    """Name the kernels of the lab that left nothing."""
    known = tomllib.loads((Path(__file__).parent.parent / "lab/kernels.toml").read_text())
    missing = sorted(known["kernels"].keys() - {kernel.name for kernel in kernels})
    return f"\nNot run this time: {', '.join(missing)}.\n" if missing else ""


def in_order(kernel: Path) -> tuple[list[int], str]:
    """Sort 5.10 before 6.1, and a kernel before its flavours."""
    series, _dash, flavour = kernel.name.partition("-")
    return [int(n) for n in series.split(".")], flavour


def table(heads: list[str], lines: list[list[object]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def seen_lines(kernel: Path) -> list[list[object]]:
    """Return which tiers were exact, and what they fill."""
    tiers = {tier["tier"]: tier for tier in selftest(kernel)["tiers"]}
    empty = [""] * len(COLUMNS)
    first = [kernel.name, text(kernel / "release")]
    if not tiers:
        return [[*first, "-", "no result: the guest was cut off", *empty]]
    lines = []
    for name in names():
        if name not in tiers:
            lines.append([*first, name, "does not attach", *empty])
            continue
        known = tiers[name]["columns"]
        cells = [seen(known, columns) for _name, columns in COLUMNS]
        lines.append([*first, name, verdict("exact", tiers[name]), *cells])
    return lines


def verdict(good: str, found: dict) -> str:
    """Say that all checks held, or name those that did not."""
    wrong = [check["what"] for check in found["checks"] if not check["ok"]]
    return good if not wrong else "WRONG: " + ", ".join(wrong)


def seen(known: list[str], columns: tuple[str, ...]) -> str:
    """Say which of the columns have a value."""
    filled = [column.removesuffix("_ns") for column in columns if column in known]
    return "yes" if len(filled) == len(columns) else ", ".join(filled) or "-"


def together_lines(kernel: Path) -> list[list[object]]:
    """Return what tiers that ran at once said of the same umounts."""
    lines = []
    for pair in selftest(kernel)["together"]:
        both = next(check["seen"] for check in pair["checks"])
        ratio = f"{pair['rcu_ratio']:.3f}" if pair["rcu_ratio"] else "-"
        apart = f"{pair['rcu_apart_ns'] / 1e3:.0f} us" if pair["rcu_apart_ns"] else "-"
        cells = [" and ".join(pair["tiers"]), both, verdict("same", pair), ratio, apart]
        lines.append([kernel.name, *cells])
    return lines


@dataclass(frozen=True)
class Share:
    """The RCU wait in some umounts."""

    rows: list[dict]

    @property
    def latency_ms(self) -> float:
        """Median latency."""
        return statistics.median(row["latency_ns"] for row in self.rows) / 1e6

    @property
    def rcu_ms(self) -> float:
        """Median wait."""
        return statistics.median(row["rcu_ns"] for row in self.rows) / 1e6

    @property
    def percent(self) -> float:
        """All waits in all latencies."""
        sums = [sum(row[name] for row in self.rows) for name in ("rcu_ns", "latency_ns")]
        return 100 * sums[0] / sums[1]


def shares(kernel: Path) -> dict[str, Share]:
    """Return the share of each mode."""
    rows = load_lines(kernel / "share.jsonl")
    waited = [row for row in rows if row["errno"] == 0 and row["rcu_ns"]]
    by_mode = {mode: [r for r in waited if r["mode"] == mode] for mode in ("sync", "lazy")}
    return {mode: Share(rows) for mode, rows in by_mode.items() if rows}


def share_lines(kernel: Path) -> list[list[object]]:
    """Return the share of the RCU wait, by mode."""
    lines = []
    for mode, share in shares(kernel).items():
        kinds = "/".join(sorted({row["rcu_kind"] or "?" for row in share.rows}))
        times = [f"{ms:.2f} ms" for ms in (share.latency_ms, share.rcu_ms)]
        cells = [text(kernel / "rcu_normal"), kinds, mode, len(share.rows), *times]
        lines.append([kernel.name, *cells, f"{share.percent:.0f} %"])
    return lines


def pair_lines(kernel: Path) -> list[list[object]]:
    """Return an RT kernel beside the one of the same series without it."""
    plain = kernel.parent / kernel.name.removesuffix(RT)
    if not kernel.name.endswith(RT) or not plain.is_dir():
        return []
    mine, others = shares(kernel), shares(plain)
    lines = []
    for mode in mine.keys() & others.keys():
        a, b = mine[mode], others[mode]
        cells = [
            f"{a.latency_ms:.2f} : {b.latency_ms:.2f} ms",
            f"{a.rcu_ms:.2f} : {b.rcu_ms:.2f} ms ({a.rcu_ms / b.rcu_ms:.0f} times)",
            f"{a.percent:.0f} : {b.percent:.0f} %",
        ]
        lines.append([f"{kernel.name} : {plain.name}", mode, *cells])
    return sorted(lines, key=lambda line: line[1] != "sync")


def witness_line(kernel: Path) -> list[object]:
    """Return the comparison of rcu_ns with bpftrace's own measurement."""
    ours = [row for row in load_lines(kernel / "witness.jsonl") if row["rcu_ns"]]
    tasks = {row["tid"] for row in ours}
    pairs = [line.split() for line in text(kernel / "bpftrace.txt").splitlines()]
    calls = [p for p in pairs if len(p) == 2 and all(word.isdigit() for word in p)]
    theirs = [int(wait) for task, wait in calls if int(task) in tasks]
    if not ours or not theirs:
        return [kernel.name, len(ours), "-", len(theirs), "-", "-", "-"]
    a, b = statistics.median(row["rcu_ns"] for row in ours), statistics.median(theirs)
    medians = [f"{a / 1e6:.3f} ms", f"{b / 1e6:.3f} ms"]
    compared = [f"{a / b:.3f}", f"{(b - a) / 1e3:.0f} us"]
    return [kernel.name, len(ours), medians[0], len(theirs), medians[1], *compared]


def selftest(kernel: Path) -> dict:
    """Return what `umtrace selftest` said; nothing if the guest was cut off."""
    said = text(kernel / "selftest.json")
    return json.loads(said) if said else {"tiers": [], "together": []}


def text(path: Path) -> str:
    """Return what a file of the run holds, empty if it is not there."""
    return path.read_text().strip() if path.exists() else ""


def load_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in text(path).splitlines()]


if __name__ == "__main__":
    main()
