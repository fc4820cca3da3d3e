"""How many of the umounts of 64 tasks at once each tool saw.

sudo .venv/bin/python -m bench.calls --tasks 64 --umounts 200
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.loops import Loops, scratch
from bench.memory import resident
from bench.tools import SYSCALLS, NotHereError, Tool, running
from umtrace.model.losses import LossReport

COMPILERS_OWN = re.compile(r"\b(note|warning): ")


def measure(
    tools: Sequence[Tool], tasks: int, umounts: int, repeat: int = 1
) -> Iterator[dict[str, Any]]:
    """Yield a row per tool: what it says it saw of what there was, run by run."""
    with scratch() as name:
        loops = Loops(Path(name))
        for place, tool in enumerate(tools):
            row: dict[str, Any] = {"tool": tool.name, "there_were": 0, "seen": []}
            for number in range(repeat):
                folder = Path(name) / f"{place}-{number}"
                try:
                    with running(tool, folder) as tracer:
                        done = loops.churn(tasks, umounts)
                        time.sleep(2)  # a tool that is behind catches up
                        row |= {"ready_s": tracer.ready_s, **resident(tracer.process.pid)}
                except NotHereError as error:
                    row["refused"] = str(error)
                    break
                row["there_were"] = done["n"] * tool.per_umount + tool.beside
                row["seen"].append(tool.seen(folder) if tool.seen else None)
                row.setdefault("umounts_per_s", []).append(done["n"] / done["wall_ns"] * 1e9)
                row["said"] = _said_of_losses(folder)
            yield row


def _said_of_losses(folder: Path) -> str:
    """Return what a tool says of losses: a recording's ledger, or a line with such a word."""
    meta = folder / "out" / "meta.json"
    if meta.is_file():
        lost = LossReport.from_dict(json.loads(meta.read_text())["losses"]).lost()
        return ", ".join(f"{k} {v}" for k, v in lost.items()) or "losses: none"
    words = ("lost", "drop", "skip", "overrun", "missed")
    lines = (folder / "printed").read_text(errors="replace").splitlines()
    # The compiler's notes, which bcc prints, skip expansions and drop qualifiers.
    lines = [line for line in lines if not COMPILERS_OWN.search(line)]
    found = [line.strip() for line in lines if any(word in line.lower() for word in words)]
    return f"{len(found)} lines such as '{found[-1][:80]}'" if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--umounts", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    for row in measure(SYSCALLS, given.tasks, given.umounts, given.repeat):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
