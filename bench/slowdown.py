"""How much slower work gets under each tracer: an untraced run before every traced one.

    sudo .venv/bin/python -m bench.slowdown --repeat 5

The ratio of the two is taken within a pair, so that what else the machine does weighs little.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.loops import Loops, scratch
from bench.memory import resident
from bench.tools import SYSCALLS, NotHereError, Tool, running

COUNTS = {"stat": 300_000, "open": 150_000, "umount": 3000}
#: what is compared: of the walks the quickest of 21 blocks, which other work disturbs least
FIGURE = {"stat": "least_ns", "open": "least_ns", "switch": "least_ns"}
Row = dict[str, Any]


def samples(tools: Sequence[Tool], counts: Mapping[str, int], repeat: int) -> Iterator[Row]:
    """Yield a pair of runs for each tool and repeat, or why the tool does not run."""
    refused = set()
    with scratch() as name:
        loops = Loops(Path(name))
        for number in range(repeat):
            for place, tool in enumerate(tools):
                if tool.name in refused:
                    continue
                sample: Row = {"tool": tool.name}
                sample["untraced"] = {loop: loops.run(loop, n) for loop, n in counts.items()}
                try:
                    with running(tool, Path(name) / f"{number}-{place}") as tracer:
                        sample["traced"] = {loop: loops.run(loop, n) for loop, n in counts.items()}
                        sample |= {"ready_s": tracer.ready_s, **resident(tracer.process.pid)}
                except NotHereError as error:
                    refused.add(tool.name)
                    sample = {"tool": tool.name, "refused": str(error)}
                yield sample


def summary(taken: Iterable[Row]) -> list[Row]:
    """Return a row per tool: medians over its pairs, and the ratios' range."""
    by_tool: dict[str, list[Row]] = {}
    for sample in taken:
        by_tool.setdefault(sample["tool"], []).append(sample)
    return [_row(tool, pairs) for tool, pairs in by_tool.items()]


def _row(tool: str, pairs: list[Row]) -> Row:
    good = [pair for pair in pairs if "traced" in pair]
    if not good:
        return {"tool": tool, "refused": pairs[0]["refused"]}
    row: Row = {"tool": tool, "pairs": len(good), "loops": {}}
    for name in ("ready_s", "rss_mib", "anonymous_mib"):
        row[name] = statistics.median(pair[name] for pair in good)
    for loop in good[0]["traced"]:
        figure = FIGURE.get(loop, "median_ns")
        both = [(pair["untraced"][loop][figure], pair["traced"][loop][figure]) for pair in good]
        ratios = sorted(traced / untraced for untraced, traced in both)
        row["loops"][loop] = {
            "untraced_ns": statistics.median(untraced for untraced, _ in both),
            "added_ns": statistics.median(traced - untraced for untraced, traced in both),
            "ratio": statistics.median(ratios), "least": ratios[0], "most": ratios[-1],
        }  # fmt: skip
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    taken = []
    for sample in samples(SYSCALLS, COUNTS, given.repeat):
        print(json.dumps(sample), flush=True)
        taken.append(sample)
    for row in summary(taken):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
