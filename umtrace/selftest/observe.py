"""Trace runs of the exercise, under one tier or several at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from umtrace import pipeline
from umtrace.records.errors import UmtraceError
from umtrace.records.losses import LossReport
from umtrace.search_path import python_child
from umtrace.sources.select import open_source

Row = Mapping[str, Any]


@dataclass(slots=True)
class Seen:
    """What one tier saw."""

    rows: list[Row] = field(default_factory=list)
    losses: LossReport = field(default_factory=LossReport)

    def add(self, tick: pipeline.Tick) -> None:
        """Take in one step of the pipeline."""
        self.rows += tick.rows.to_pylist()
        self.losses = tick.losses


def observe(
    tiers: Sequence[str], *workloads: Sequence[str]
) -> tuple[list[dict[str, Any]], list[Seen]]:
    """Trace a run of the exercise per workload, one after the other, attached once.

    Returns the ledger of each run, and what each tier saw of all.

    Raises
    ------
    UmtraceError
        A tier cannot be attached, or the exercise failed.
    """
    with _Exercises(workloads) as exercises, ExitStack() as stack:
        running: list[tuple[Seen, Iterator[pipeline.Tick]]] = []
        for tier in tiers:
            source = stack.enter_context(closing(open_source(tier)))
            ticks = stack.enter_context(closing(pipeline.live(source, stop=exercises.finished)))
            seen = Seen()
            seen.add(next(ticks))  # runs
            running.append((seen, ticks))
        exercises.start()
        while _step(running):
            pass
        return exercises.ledgers, [seen for seen, _ticks in running]


def _step(running: Iterable[tuple[Seen, Iterator[pipeline.Tick]]]) -> bool:
    """Advance each tier by one step; False when all have ended."""
    going = False
    for seen, ticks in running:
        tick = next(ticks, None)
        if tick is not None:
            seen.add(tick)
            going = True
    return going


def rows_of(ledger: Mapping[str, Any], rows: Iterable[Row]) -> list[Row]:
    """Return the rows that belong to the exercise; others unmount things meanwhile."""
    root = ledger["root"] + "/"
    tasks = {ledger["pid"], *(n["tid"] for n in (*ledger["umounts"], *ledger["ns_exits"]))}
    return [row for row in rows if (row["path"] or "").startswith(root) or row["tid"] in tasks]


class _Exercises:
    """Processes one after the other; collects their ledgers without filling their pipes."""

    def __init__(self, workloads: Sequence[Sequence[str]]) -> None:
        self._waiting = list(workloads)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = False
        self.ledgers: list[dict[str, Any]] = []

    def __enter__(self) -> _Exercises:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def start(self) -> None:
        """Start the next one."""
        self._started = True
        command = python_child("umtrace.cli", "exercise", "--json", *self._waiting.pop(0))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def finished(self) -> bool:
        """Whether the last one has ended; waits a moment for the output of one that runs."""
        if self._process is None:
            return self._started
        try:
            text = self._process.communicate(timeout=pipeline.TICK_S)[0]
        except subprocess.TimeoutExpired:
            return False
        if self._process.returncode:
            raise UmtraceError(f"the exercise failed with status {self._process.returncode}")
        self.ledgers.append(json.loads(text))
        self._process = None
        if self._waiting:
            self.start()
        return self._process is None
