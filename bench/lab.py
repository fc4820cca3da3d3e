"""Measure the function tiers and their peers on a real kernel in the lab: `make bench-lab`.

.venv/bin/python -m bench.lab --kernel 6.12

Four guests, one after the other. In two the clock counts instructions; in the others two
emulated CPUs run as they can: calls are counted, and times are compared within the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import loops, page
from lab import cache, host, ready, table
from lab.archive import Archive
from lab.kernel import Bootable

_RESULTS = Path(__file__).with_name("results")
_PAGE = Path(__file__).resolve().parent.parent / "docs" / "overhead.md"
_ENVIRONMENT = "UMTRACE_BENCH_LOOPS=/lab/in/loops UMTRACE_BENCH_READY_S=240"
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900, help="seconds for each guest")
    parser.add_argument("--parts", nargs="+", default=["counts", "starts", "calls", "times"])
    given = parser.parse_args()
    known = table.load()
    booted = ready.for_run(cache.folder(), known, known.kernel(given.kernel)).kernel
    out = _RESULTS / f"lab-{given.kernel}.json"
    with loops.scratch() as name:
        carried = Path(name)
        loops.build(carried)
        _headers(booted, carried / "headers")
        for part in given.parts:
            repeat = given.repeat if part == "times" else 1
            taken = _boot(given.kernel, part, repeat, carried, given.limit)
            if taken:
                _keep(out, part, taken, booted.release)
    page.write(_RESULTS, _PAGE)


def _keep(out: Path, part: str, taken: list[Row], release: str) -> None:
    """Put the results of a part in place of its last ones; another part may run meanwhile."""
    results: Row = json.loads(out.read_text()) if out.exists() else {}
    results["lab"] = {"kernel": release, "day": time.strftime("%Y-%m-%d")}
    results[part] = taken
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")


def _boot(kernel: str, part: str, repeat: int, carried: Path, limit: float) -> list[Row]:
    """Run one part in a guest; what it said before its time was up is kept."""
    machine = ["--icount", "--cpus", "1"] if part in {"counts", "starts"} else ["--cpus", "2"]
    command = f"env {_ENVIRONMENT} python -m bench.guest {part} {repeat}"
    guest = subprocess.Popen(
        [sys.executable, "-m", "lab", "run", kernel, "--in", str(carried), "--mem", "3G",
         "--timeout", str(limit), *machine, "--", command], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert guest.stdout
    rows = []
    for line in guest.stdout:
        print(line, end="", flush=True)
        if line.startswith("{"):
            rows.append(json.loads(line))
    if guest.wait():
        print(f"bench: the guest of '{part}' ended with {guest.returncode}", file=sys.stderr)
    return rows


def _headers(kernel: Bootable, target: Path) -> None:
    """Put the kernel's headers in one tree, as BCC_KERNEL_SOURCE wants them."""
    archive = Archive(cache.folder(), table.load())
    unpacked, packages = target.parent / "unpacked", target.parent / "packages"
    packages.mkdir()
    release = kernel.release
    for package in (release, release.rsplit("-", 1)[0] + "-common"):
        archive.download(f"linux-headers-{package}", kernel.version, packages)
    for file in packages.iterdir():
        host.run(["dpkg-deb", "-x", file, unpacked])
    for tree in sorted(unpacked.glob("usr/src/linux-headers-*"), reverse=True):
        for part in ("include", "arch/x86/include"):
            if (tree / part).is_dir():
                shutil.copytree(tree / part, target / part, dirs_exist_ok=True)
    for scrap in (unpacked, packages):
        shutil.rmtree(scrap)


if __name__ == "__main__":
    main()
