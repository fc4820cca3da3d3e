"""Every tier on kernels of the lab beside the ledger of the workload.

    python -m tests.oracle.lab [--tiers 'fentry kprobe ...'] [--jobs 2] [--keep FOLDER] KERNEL...

One boot a kernel. What a tier came to is kept in FOLDER/KERNEL.jsonl as it
ends, so that a run that was stopped, or a guest that died, goes on with the tiers that are
missing. A line of other sources than these counts as missing. Prints what does not agree;
status 1 if anything does not, or has no result.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab import cache, project
from tests.oracle import ledger
from tests.oracle.run import wrong
from tests.oracle.tiers import TIERS
from umtrace.model.tiers import names

#: what a result depends on, beside the kernel
_SOURCES = ("umtrace/", "bpf/", "tests/oracle/", "scripts/kernel-check")
_TIMEOUT_S = 1800

Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """The lines kept of one kernel."""

    file: Path
    tree: str

    def of_this_tree(self) -> dict[str, Found]:
        """Return what each tier came to with these sources; the last line of a tier counts."""
        if not self.file.is_file():
            return {}
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return {line["asked"]: line for line in lines if line["tree"] == self.tree}

    def add(self, found: Found) -> None:
        """Keep a line."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps({**found, "tree": self.tree}) + "\n")


def tree(root: Path = project.ROOT) -> str:
    """Return a name for the content of the sources."""
    names = [name for name in project.sources(root) if str(name).startswith(_SOURCES)]
    return cache.digest(*(f"{name}\n{(root / name).read_bytes().hex()}" for name in names))


def in_guest(kernel: str, workload: Path, tiers: list[str]) -> Iterator[Found]:
    """Boot a kernel and yield the line of each tier as it ends; its other output passes on."""
    inside = f"ORACLE_TIERS={shlex.quote(' '.join(tiers))} scripts/kernel-check oracle"
    command = ["run", kernel, "--timeout", str(_TIMEOUT_S), "--in", str(workload.parent)]
    with subprocess.Popen(
        [sys.executable, "-m", "lab", *command, "--", inside], stdout=subprocess.PIPE, text=True
    ) as guest:
        for line in guest.stdout:
            if line.startswith('{"asked"'):
                found = json.loads(line)
                told(kernel, found)
                yield found


def complete(
    tiers: list[str], results: Results, boot: Callable[[list[str]], Iterable[Found]]
) -> None:
    """Boot until every tier has a line; one that ends the guest twice at once has none."""
    missing = [tier for tier in tiers if tier not in results.of_this_tree()]
    tries = 0
    while missing:
        before = len(missing)
        for found in boot(missing):
            results.add(found)
            missing = [tier for tier in missing if tier != found["asked"]]
        tries = tries + 1 if len(missing) == before else 0
        if tries == 2:
            missing, tries = missing[1:], 0


def told(kernel: str, found: Found) -> int:
    """Print what a tier came to; return how much of it is wrong."""
    lines = wrong(found)
    rows = f"{found.get('umounts', 0)} umounts of {found.get('kinds', 0)} kinds"
    skipped = f", without {', '.join(found['skipped'])}" if found.get("skipped") else ""
    lost = f", lost {found['lost']}" if found.get("lost") else ""
    took = f", {found['seconds']['all']:.0f} s"
    print(f"{kernel} {found['asked']}: {rows}{skipped}{lost}{took}: {len(lines)} wrong", flush=True)  # noqa: T201 - a command
    for line in lines:
        print(f"  {line}")  # noqa: T201
    return len(lines)


def main() -> int:
    """Go through the kernels, then say once more what each came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiers", default="", help="divided by blanks; all by default")
    parser.add_argument("--jobs", type=int, default=2, help="guests at a time")
    parser.add_argument("--keep", type=Path, default="oracle-results", metavar="FOLDER")
    parser.add_argument("kernels", nargs="+", metavar="KERNEL")
    given = parser.parse_args()
    tiers = given.tiers.split() or list(names())
    known = {*names(), *TIERS}
    if unknown := set(tiers) - known:
        parser.error(f"no tier {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    kept = {name: Results(given.keep / f"{name}.jsonl", tree()) for name in given.kernels}
    with tempfile.TemporaryDirectory() as folder:
        workload = ledger.build(Path(folder) / "workload")
        with ThreadPoolExecutor(given.jobs) as pool:
            going = [
                pool.submit(complete, tiers, results, partial(in_guest, kernel, workload))
                for kernel, results in kept.items()
            ]
            for each in going:
                each.result()
    print("\nAll together:")  # noqa: T201
    bad = 0
    for kernel, results in kept.items():
        found = results.of_this_tree()
        for tier in tiers:
            if tier in found:
                bad += told(kernel, found[tier])
            else:
                print(f"{kernel} {tier}: no result")  # noqa: T201
                bad += 1
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
