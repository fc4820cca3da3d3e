"""Measure the function tiers and their peers on a real kernel in the lab: `make bench-lab`.

.venv/bin/python -m bench.lab --kernel 6.12

A guest for each part, one after the other, an hour in all. In all but the last one the clock counts
instructions; there two emulated CPUs run as they can, and calls are counted.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import loops, page
from lab import boot, cache, host, ready, table
from lab.archive import Archive
from lab.job import Job

if TYPE_CHECKING:
    from lab.kernel import Bootable
    from lab.ready import Ready

_RESULTS = Path(__file__).with_name("results")
_PAGE = Path(__file__).resolve().parent.parent / "docs" / "overhead.md"
_ENVIRONMENT = "UMTRACE_BENCH_LOOPS=/lab/in/loops UMTRACE_BENCH_READY_S=240"
#: what a guest runs, and its machine
_PARTS: dict[str, dict[str, Any]] = {
    "counts": {"icount": True, "cpus": 1},
    "tree": {"icount": True, "cpus": 1},
    "grace": {"icount": True, "cpus": 2},
    "starts": {"icount": True, "cpus": 1},
    "records": {"icount": True, "cpus": 1},
    "calls": {"cpus": 2},
}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--limit", type=float, default=2400, help="seconds for each guest")
    parser.add_argument("--parts", nargs="+", default=list(_PARTS), choices=list(_PARTS))
    parser.add_argument(
        "--tools",
        nargs="+",
        default=[],
        metavar="WORD",
        help="only those whose names hold a word; the others' results stay",
    )
    given = parser.parse_args()
    known = table.load()
    booted = ready.for_run(cache.folder(), known, known.kernel(given.kernel))
    out = _RESULTS / f"lab-{given.kernel}.json"
    failed = []
    with loops.scratch() as name:
        carried = Path(name)
        loops.build(carried)
        _headers(booted.kernel, carried / "headers")
        for part in given.parts:
            taken = _measure(booted, (part, *given.tools), carried, given.limit)
            if taken:
                _keep(out, part, taken, booted.kernel.release, whole=not given.tools)
            else:
                failed.append(part)
    page.write(_RESULTS, _PAGE)
    if failed:
        sys.exit(f"bench: not measured, what was known before stays: {', '.join(failed)}")


def _keep(out: Path, part: str, taken: list[Row], release: str, *, whole: bool) -> None:
    """Put the results of a part in place of its last ones; another part may run meanwhile."""
    results: Row = json.loads(out.read_text()) if out.exists() else {}
    days = {**results.get("lab", {}).get("days", {}), part: time.strftime("%Y-%m-%d")}
    results["lab"] = {"kernel": release, "days": days}
    again = {_tool(row) for row in taken}
    others = [] if whole else [row for row in results.get(part, []) if _tool(row) not in again]
    results[part] = [*others, *taken]
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")


def _tool(row: Row) -> str:
    return str(row.get("tool") or row["what"])


class _Samples(io.BytesIO):
    """Shows what a guest prints, and keeps its lines of JSON."""

    def write(self, data: Any) -> int:
        """Take output as it comes."""
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return super().write(data)

    @property
    def rows(self) -> list[Row]:
        """What was measured."""
        lines = self.getvalue().splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]


def _measure(booted: Ready, words: Sequence[str], carried: Path, limit: float) -> list[Row]:
    """Run one part in a guest; nothing where it did not come to its end, and says why."""
    part = words[0]
    print(f"bench: {part}", file=sys.stderr)
    samples, outcome = _boot(booted, words, carried, limit)
    if outcome.status == 0:
        return samples
    why = outcome.trouble or f"ended with {outcome.status}"
    print(f"bench: the guest of '{part}': {why} (--limit S gives it longer)", file=sys.stderr)
    print(outcome.console_tail, file=sys.stderr)
    return []


def _boot(
    booted: Ready, words: Sequence[str], carried: Path, limit: float
) -> tuple[list[Row], boot.Outcome]:
    job = Job(
        command=(f"env {_ENVIRONMENT} python -m bench.guest {shlex.join(words)}",),
        timeout_seconds=limit, memory="3G", carried=carried, **_PARTS[words[0]],
    )  # fmt: skip
    samples = _Samples()
    # What is no sample goes to the same place, whole lines of it after the samples.
    outcome = boot.run(booted, job, out=None, stdout=samples, stderr=sys.stderr.buffer)
    return samples.rows, outcome


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
