"""Run the fuzzers: ``python -m tests.fuzz --inputs 1000000 --seed 1``.

A child does some thousand inputs at a time, so that a crash or a hang ends it alone. Its seed is
printed: ``--only KIND --seed SEED --inputs 1`` is that child again.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz import recordings, streams, texts

#: kind: (share of all inputs, inputs of one child)
KINDS = {"streams": (0.9, 5000), "texts": (0.09, 1000), "recordings": (0.01, 50)}
HANG_S = 1800  # of one child, on a host that does other work


def child(kind: str, seed: str, count: int) -> None:
    """Run some inputs in this process; raises for the first that is wrong."""
    rng = random.Random(f"{kind} {seed}")
    with tempfile.TemporaryDirectory(prefix="umtrace-fuzz-") as name:
        done = 0
        while done < count:
            if kind == "streams":
                streams.run(rng, streams.AT_ONCE)
                done += streams.AT_ONCE
                continue
            (texts if kind == "texts" else recordings).run(rng, Path(name))
            done += 1


def apart(kind: str, seed: str, count: int) -> str:
    """Run some inputs in a child; return what was wrong, empty where nothing was."""
    with tempfile.TemporaryFile("w+") as said:
        pid = os.fork()
        if not pid:
            os.dup2(said.fileno(), 2)
            signal.alarm(HANG_S)
            _end_with(kind, seed, count)
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        return f"status {status}\n{said.read()}" if status else ""


def _end_with(kind: str, seed: str, count: int) -> None:
    try:
        child(kind, seed, count)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main() -> int:
    """Run as many inputs as asked for; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--here", action="store_true", help="in this process: for coverage")
    given = parser.parse_args()
    shares = (
        {given.only: 1.0} if given.only else {kind: share for kind, (share, _) in KINDS.items()}
    )
    shares = shares or {given.only: 1.0}
    wrong = 0
    for kind, share in shares.items():
        began, total, done = time.monotonic(), max(round(given.inputs * share), 1), 0
        number = 0
        while done < total:
            count = min(KINDS[kind][1], total - done)
            seed = f"{given.seed}.{number}" if number or not given.only else given.seed
            if given.here:
                child(kind, seed, count)
            elif why := apart(kind, seed, count):
                wrong += 1
                _say(f"{kind}, --seed {seed} --inputs {count}: {why}")
            done, number = done + count, number + 1
        took = time.monotonic() - began
        _say(f"{kind}: {done:,} inputs, {took:.0f} s, {wrong} children failed so far")
    return min(wrong, 1)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
