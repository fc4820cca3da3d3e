"""Write docs/argument.md: the claims about the RCU wait beside what was predicted and measured.

    python tools/argument.py lab/designs/judged.json [lab/designs/judged-rt.json] > docs/argument.md

Each is results.json of `scripts/judge-designs`.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import judging

Row = dict[str, Any]
DESIGNS = ("A", "B", "B2", "C", "D")
LOADS = {
    "one": "one task, 40 umounts of tmpfs in turn, sync or lazy by chance",
    "eight": "eight tasks at once, 12 each",
    "propagation": "a mount with 200 copies, twice sync and twice lazy",
    "slow": "three times a lazy umount of 1,500 files, and four small ones beside it",
    "exits": "six mount namespaces of at least 20 mounts that end with their task",
    "held": "24 lazy umounts, half of which have a file open",
    "device": "16 umounts of ext4 on a loop device, each followed by open(O_EXCL)",
}


class Results:
    """The results of one run of the judge."""

    def __init__(self, raw: Row) -> None:
        self.raw = raw
        self.rows: list[Row] = raw["results"]
        self.noise = judging.noise(raw["again"])

    def of(self, load: str, design: str) -> list[Row]:
        """Return the cells of a load under a design, one for each seed."""
        return [r for r in self.rows if (r["load"], r["design"]) == (load, design)]

    def time(self, side: str, load: str, design: str, kind: str, name: str) -> float | None:
        """Return the median over the seeds of a quantile, ns."""
        found = [row[side]["times"].get(kind) for row in self.of(load, design)]
        return median(each[name] for each in found if each) if any(found) else None

    def total(self, get: Callable[[Row], int | None], load: str, design: str) -> int:
        """Return the sum over the seeds of a count."""
        return sum(get(row) or 0 for row in self.of(load, design))

    def kinds(self, load: str) -> list[str]:
        """Return the kinds of umount that a load has."""
        return [k for k in judging.KINDS if self.time("observed", load, "A", k, "caller_p50_ns")]


def ms(ns: float | None) -> str:
    """Return a time in ms with two digits that count."""
    if ns is None:
        return "-"
    value = ns / 1e6
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def times(results: Results, name: str) -> list[str]:
    """Return predicted and observed times of each load and kind, by design."""
    rows = []
    for load in LOADS:
        for kind in results.kinds(load):
            if load == "held" and name.startswith("gone"):
                continue  # until the file is closed, whatever the design
            cells = [
                f"{ms(results.time('predicted', load, d, kind, name))} / "
                f"**{ms(results.time('observed', load, d, kind, name))}**"
                for d in DESIGNS
            ]
            rows.append([f"`{load}`, {kind}", *cells])
    return table(["load", *DESIGNS], rows)


def waits(results: Results) -> list[str]:
    """Return the waits in the calls, and the grace periods that work items asked for."""
    rows = []
    for load in LOADS:
        cells = []
        for design in DESIGNS:
            ours = results.total(lambda r: r["predicted"]["counts"]["waits"], load, design)
            theirs = results.total(lambda r: r["observed"]["counts"]["waits"], load, design)
            asked = results.total(lambda r: r["observed"]["counts"]["rounds"], load, design)
            cells.append(f"{ours} / **{theirs}**" + (f" + {asked}" if asked else ""))
        rows.append([f"`{load}`", *cells])
    return table(["load", *DESIGNS], rows)


def claims(results: Results) -> list[str]:
    """Return the claims of a device that got EBUSY."""
    rows = []
    for mode in ("sync", "lazy"):
        cells = []
        for design in DESIGNS:
            ours, theirs = (
                sum(row[side]["ebusy"][mode] for row in results.of("device", design))
                for side in ("predicted", "observed")
            )
            cells.append(f"{ours} / **{theirs}**")
        found = [row["observed"]["times"][mode] for row in results.of("device", "A")]
        rows.append([f"{mode}, of {sum(each['n'] for each in found if each)}", *cells])
    return table(["after an umount", *DESIGNS], rows)


def judged(results: Results) -> Iterator[tuple[str, str, float, float]]:
    """Yield (quantity, design, how far apart, allowed) of each prediction of another design."""
    for row, kind, name, ours, theirs in judging.cells(results.rows):
        if row["design"] == "A" or (row["load"] == "held" and name.startswith("gone")):
            continue
        of_noise = results.noise.get(judging.key_of(row["load"], kind, name), 0.0)
        yield name, row["design"], judging.apart(ours, theirs), judging.tolerance(of_noise)


def score(results: Results) -> list[str]:
    """Return how many predictions are within 15 % and within the noise."""
    found: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    for name, design, distance, allowed in judged(results):
        hit = (distance <= judging.TOLERANCE, distance <= allowed)
        found.setdefault((name, design), []).append(hit)

    def cell(hits: Sequence[tuple[bool, bool]]) -> str:
        near, allowed = (sum(each) for each in zip(*hits, strict=True))
        return f"{near} and {allowed} of {len(hits)}"

    names = list(dict.fromkeys(name for name, _ in found))
    rows = [[_words(name), *(cell(found[name, d]) for d in DESIGNS[1:])] for name in names]
    return table(["within 15 % and within the noise", *DESIGNS[1:]], rows)


def counts(results: Results) -> list[str]:
    """Return of how many cells each count was predicted exactly."""
    others = [row for row in results.rows if row["design"] != "A"]
    device = [row for row in others if row["load"] == "device"]
    held = [row["n_held"] for row in results.rows if "n_held" in row]
    waits = [_same(row, lambda side: side["counts"]["waits"]) for row in others]
    holders = [_same(row, lambda side: side["held"]) for row in others]
    ebusy = [_same(row, lambda side: side["ebusy"]) for row in device]
    equal, compared = (sum(each[key] for each in held) for key in ("equal", "compared"))
    incomplete, rows = (
        sum(row["observed"][key] for row in results.rows) for key in ("incomplete", "rows")
    )
    return table(
        ["count", "equal"],
        [
            ["umounts that wait, predicted and counted by the kernel", _of(waits)],
            ["umounts of which somebody else held a victim", _of(holders)],
            ["EBUSYs of a claimed device, sync and lazy", _of(ebusy)],
            ["`n_held` and the kernel's own count, operations", f"{equal} of {compared}"],
            ["rows that are incomplete", f"{incomplete} of {rows}"],
        ],
    )  # fmt: skip


def _same(row: Row, get: Callable[[Row], object]) -> bool:
    return get(row["predicted"]) == get(row["observed"])


def _of(hits: Sequence[bool]) -> str:
    return f"{sum(hits)} of {len(hits)}"


def misses(results: Results, most: int = 12) -> list[str]:
    """Return the predictions that are furthest away, of the medians over the seeds."""
    found = []
    for load in LOADS:
        for kind in results.kinds(load):
            for name in ("caller_p50_ns", "caller_p90_ns", "gone_p50_ns", "gone_p90_ns"):
                if load == "held" and name.startswith("gone"):
                    continue
                for design in DESIGNS[1:]:
                    ours = results.time("predicted", load, design, kind, name)
                    theirs = results.time("observed", load, design, kind, name)
                    if ours is None or theirs is None:
                        continue
                    distance = judging.apart(ours, theirs)
                    if distance > judging.TOLERANCE:
                        found.append((distance, [f"`{load}`, {kind}", design, _words(name), ms(ours),
                                                 f"**{ms(theirs)}**", f"{distance:.0%}"]))  # fmt: skip
    found.sort(key=lambda each: -each[0])
    head = ["load", "design", "quantity", "predicted", "observed", "apart"]
    return [f"{len(found)} in all; the {min(most, len(found))} furthest:", "",
            *table(head, [row for _, row in found[:most]])]  # fmt: skip


def _words(name: str) -> str:
    what, quantile, _ = name.split("_")
    return f"{'caller waits' if what == 'caller' else 'shut down'} {quantile}"


def facts(results: Results) -> dict[str, str]:
    """Return the numbers that the sentences of the page have."""
    at = results.time
    right, pairs = judging.order_right(results.rows, results.noise)
    right15, pairs15 = judging.order_right(results.rows, {})
    noise = list(results.noise.values())
    of = results.total
    done = {load: of(lambda r: r["observed"]["counts"]["operations"], load, "D") for load in LOADS}
    kept = {
        load: of(lambda r: r["observed"]["counts"]["held_operations"], load, "D") for load in LOADS
    }
    running = {
        d: max(
            row["observed"]["counts"]["most_running"] for row in results.rows if row["design"] == d
        )
        for d in ("B", "B2", "C")
    }
    return {
        "kernel": results.raw["kernel"].split(" ")[0],
        "seeds": ", ".join(map(str, results.raw["seeds"])),
        "clock": "counting instructions (`--icount`)" if results.raw["icount"] else
                 "following the host, whose two CPUs other work shared",
        "slow_b": ms(at("observed", "slow", "B", "lazy", "gone_p50_ns")),
        "slow_b2": ms(at("observed", "slow", "B2", "lazy", "gone_p50_ns")),
        "slow_a": ms(at("observed", "slow", "A", "lazy", "gone_p50_ns")),
        "slow_b_says": ms(at("predicted", "slow", "B", "lazy", "gone_p50_ns")),
        "slow_b2_says": ms(at("predicted", "slow", "B2", "lazy", "gone_p50_ns")),
        "running_b": str(running["B"]), "running_b2": str(running["B2"]),
        "running_c": str(running["C"]),
        "eight_a": ms(at("observed", "eight", "A", "lazy", "caller_p50_ns")),
        "eight_b": ms(at("observed", "eight", "B", "lazy", "caller_p50_ns")),
        "eight_d": ms(at("observed", "eight", "D", "lazy", "caller_p50_ns")),
        "gone_a": ms(at("observed", "eight", "A", "lazy", "gone_p50_ns")),
        "gone_b": ms(at("observed", "eight", "B", "lazy", "gone_p50_ns")),
        "c_sync": ms(at("observed", "one", "C", "sync", "gone_p50_ns")),
        "c_call": ms(at("observed", "one", "C", "sync", "caller_p50_ns")),
        "held_ops": str(sum(kept.values()) - kept["held"]),
        "all_ops": str(sum(done.values()) - done["held"]),
        "held_held": str(kept["held"]), "held_all": str(done["held"]),
        "right": str(right), "pairs": str(pairs),
        "right15": str(right15), "pairs15": str(pairs15),
        "score15": _of([distance <= judging.TOLERANCE for _, _, distance, _ in judged(results)]),
        "sync_a": ms(at("observed", "one", "A", "sync", "caller_p50_ns")),
        "sync_b": ms(at("observed", "one", "B", "sync", "caller_p50_ns")),
        "sync_b2": ms(at("observed", "one", "B2", "sync", "caller_p50_ns")),
        "noise": f"{median(noise):.0%}", "worst": f"{max(noise):.0%}",
    }  # fmt: skip


def on_rt(raw: Row | None) -> dict[str, str]:
    """Return what the page says of PREEMPT_RT."""
    if raw is None:
        claim = "Not judged: this kernel has expedited grace periods."
        return {"rt_claim": claim, "RT": "", "rt_rest": "PREEMPT_RT."}
    results, at = Results(raw), Results(raw).time
    times_ = [
        at("observed", "one", d, k, "caller_p50_ns") for k in ("sync", "lazy") for d in DESIGNS
    ]
    a, _, _, _, d, lazy_a, lazy_b, *_ = map(ms, times_)
    noise = list(results.noise.values())
    again = f"Two runs under A differ by {median(noise):.0%} (median). " if noise else ""
    near = [distance <= judging.TOLERANCE for _, _, distance, _ in judged(results)]
    right, pairs = judging.order_right(results.rows, {})
    claim = (
        f"Under A an umount waits {a} ms on PREEMPT_RT (one task, sync, p50), where each waits for a "
        f"normal grace period; under D {d} ms. A lazy one waits {lazy_a} ms under A and {lazy_b} ms "
        "under B. Without PREEMPT_RT the wait is shorter, and what the designs leave to later is not."
    )
    said = (
        f"The same loads on {raw['kernel'].split(' ')[0]}, seeds {', '.join(map(str, raw['seeds']))}. "
        f"{again}Within 15 % are {_of(near)} predictions of times; the order of two designs was right "
        f"in {right} of {pairs} pairs that are further apart than 15 %."
    )
    text = [
        "## On PREEMPT_RT", "", said, "",
        *counts(results), "",
        "What callers wait, p50, predicted / **observed**, ms:", "",
        *times(results, "caller_p50_ns"), "",
        "Until the file system is shut down, p50:", "",
        *times(results, "gone_p50_ns"), "",
        "Claims of a device that got EBUSY:", "", *claims(results),
    ]  # fmt: skip
    return {"rt_claim": claim, "RT": "\n".join(text), "rt_rest": ""}


def page(raw: Row, rt: Row | None = None) -> str:
    """Return the page; ``rt`` are the results on PREEMPT_RT."""
    results = Results(raw)
    text = Path(__file__).with_name("argument.md.in").read_text(encoding="utf-8")
    parts = {
        "LOADS": table(["load", "what"], [[f"`{k}`", v] for k, v in LOADS.items()]),
        "CALLER": times(results, "caller_p50_ns"),
        "GONE": times(results, "gone_p50_ns"),
        "WAITS": waits(results),
        "CLAIMS": claims(results),
        "COUNTS": counts(results),
        "SCORE": score(results),
        "MISSES": misses(results),
    }
    for name, lines in parts.items():
        text = text.replace(f"@{name}@", "\n".join(lines))
    for name, value in (facts(results) | on_rt(rt)).items():
        text = text.replace(f"@{name}@", value)
    blocks = (block.strip("\n") for block in text.split("\n\n"))
    return "\n\n".join(_wrapped(block) for block in blocks if block) + "\n"


def _wrapped(block: str) -> str:
    """Wrap a paragraph or a list, whose numbers have another length now."""
    if block.startswith(("|", "#")):
        return block
    items = [f"- {each}" for each in block.removeprefix("- ").split("\n- ")]
    found = items if block.startswith("- ") else [block]
    return "\n".join(
        textwrap.fill(
            " ".join(each.split()),
            100,
            subsequent_indent="  " if each.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for each in found
    )


if __name__ == "__main__":
    print(page(*(json.loads(Path(name).read_text()) for name in sys.argv[1:3])), end="")
