"""Record the exercise and compare what was seen with its ledger, count by count."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from umtrace import pipeline
from umtrace.records.errors import UmtraceError
from umtrace.records.losses import LossReport
from umtrace.records.umounts import PHASES

Row = Mapping[str, Any]

#: What a run does: every kind of umount that a tier can tell apart.
WORKLOAD = ("--sync", "23", "--lazy", "11", "--busy", "7", "--propagate", "20", "--ns-exit", "5")


@dataclass(frozen=True, slots=True)
class Check:
    """One count compared: what the ledger says, and what the rows say."""

    what: str
    expected: object
    seen: object

    @property
    def ok(self) -> bool:
        """Whether the two agree."""
        return self.expected == self.seen


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for one tier."""

    tier: str
    checks: tuple[Check, ...]
    clock_ratio: float | None  #: median of latency_ns over the exercise's own clock

    @property
    def ok(self) -> bool:
        """Whether every check agrees."""
        return all(check.ok for check in self.checks)


def run(tier: str, workload: Sequence[str] = WORKLOAD) -> Result:
    """Trace one run of the exercise under a tier.

    Raises
    ------
    UmtraceError
        The tier cannot be attached, or the exercise failed.
    """
    exercise: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        arguments = [sys.executable, "-m", "umtrace", "exercise", "--json", *workload]
        exercise.append(subprocess.Popen(arguments, stdout=subprocess.PIPE))

    with _Output(exercise) as output:
        ticks = pipeline.live(tier, stop=output.finished, on_ready=start)
        rows: list[Row] = []
        losses = LossReport()
        for tick in ticks:
            rows += tick.rows.to_pylist()
            losses = tick.losses
    ledger = output.ledger()
    mine = _rows_of(ledger, rows)
    return Result(tier, tuple(_checks(ledger, mine, losses)), _clock_ratio(ledger, mine))


class _Output:
    """Collects the exercise's ledger without filling its pipe, and ends it on errors."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self._processes = processes
        self._text = b""

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()

    def finished(self) -> bool:
        """Whether the exercise has ended; waits a moment for its output."""
        process = self._processes[0]
        try:
            self._text = process.communicate(timeout=pipeline.TICK_S)[0]
        except subprocess.TimeoutExpired:
            return False
        return True

    def ledger(self) -> dict[str, Any]:
        """Return the parsed ledger."""
        status = self._processes[0].returncode
        if status:
            raise UmtraceError(f"the exercise failed with status {status}")
        parsed: dict[str, Any] = json.loads(self._text)
        return parsed


def _rows_of(ledger: Mapping[str, Any], rows: Iterable[Row]) -> list[Row]:
    """Return the rows that belong to the exercise; others unmount things meanwhile."""
    root = ledger["root"] + "/"
    namespaces = {(n["mntns"], n["tid"]) for n in ledger["ns_exits"]}
    tasks = {ledger["pid"], *(u["tid"] for u in ledger["umounts"])}
    return [
        row
        for row in rows
        if (row["path"] or "").startswith(root)
        or (row["mntns"], row["tid"]) in namespaces
        or (not row["complete"] and row["tid"] in tasks)
    ]


def _checks(ledger: Mapping[str, Any], rows: Sequence[Row], losses: LossReport) -> Iterable[Check]:
    umounts = [row for row in rows if row["origin"] == "umount"]
    key: Callable[[Row], tuple[object, ...]] = lambda r: (r["path"], r["mode"], r["errno"])  # noqa: E731
    expected, seen = Counter(map(key, ledger["umounts"])), Counter(map(key, umounts))
    for mode in ("sync", "lazy"):
        yield Check(f"{mode} umounts", _count(expected, 1, mode), _count(seen, 1, mode))
    yield Check("EBUSY", _count(expected, 2, 16), _count(seen, 2, 16))
    yield Check("each path, mode and errno", expected, seen)
    exits = [row for row in rows if row["origin"] == "ns-exit"]
    yield Check("namespaces that exited", len(ledger["ns_exits"]), len(exits))
    yield Check("incomplete rows", 0, sum(not row["complete"] for row in rows))
    yield Check("rows whose phases do not sum up", 0, sum(map(_unbalanced, rows)))
    yield Check("events, names and stacks lost", False, losses.lost_anything)


def _count(counter: Counter[tuple[object, ...]], index: int, value: object) -> int:
    return sum(n for key, n in counter.items() if key[index] == value)


def _unbalanced(row: Row) -> bool:
    known = sum(row[phase] or 0 for phase in PHASES)
    return bool(row["complete"]) and known != row["latency_ns"]


def _clock_ratio(ledger: Mapping[str, Any], rows: Sequence[Row]) -> float | None:
    own = {(u["path"], u["retry"]): u["latency_ns"] for u in ledger["umounts"] if not u["errno"]}
    paths = Counter(path for path, _retry in own)
    ratios = [
        row["latency_ns"] / own[row["path"], 0]
        for row in rows
        if row["complete"] and paths[row["path"]] == 1 and (row["path"], 0) in own
    ]
    return median(ratios) if ratios else None
