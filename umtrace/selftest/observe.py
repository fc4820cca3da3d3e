"""Trace runs of the exercise, under one tier or several at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from umtrace import pipeline
from umtrace.model.errors import UmtraceError
from umtrace.model.losses import LossReport
from umtrace.search_path import python_child
from umtrace.sources.select import open_source

Row = Mapping[str, Any]


@dataclass(slots=True)
class Seen:
    """What one tier saw."""

    rows: list[Row] = field(default_factory=list)
    losses: LossReport = field(default_factory=LossReport)
    failure: Exception | None = None  #: what ended this tier early

    def add(self, tick: pipeline.Tick) -> None:
        """Take in one step of the pipeline."""
        self.rows += tick.rows.to_pylist()
        self.losses = tick.losses


def observe(
    tiers: Sequence[str], *workloads: Sequence[str], probes: str = "full"
) -> tuple[list[dict[str, Any]], list[Seen]]:
    """Trace a run of the exercise per workload, one after the other, attached once.

    Returns the ledger of each run, and what each tier saw of all. A tier that fails has its
    ``failure``; the others go on.

    Raises
    ------
    Exception
        What the first tier failed with, if all did; UmtraceError if the exercise failed.
    """
    with _Exercises(workloads) as exercises, ExitStack() as stack:
        running = [_Running(tier, probes, exercises.finished, stack) for tier in tiers]
        if any(one.going for one in running):
            exercises.start()
        going = True
        while going:
            going = max([one.step() for one in running])  # a step of each
        failures = [one.seen.failure for one in running]
        if failures[0] is not None and None not in failures:
            raise failures[0]
        return exercises.ledgers, [one.seen for one in running]


class _Running:
    """One tier that is attached, until it ends or fails."""

    def __init__(self, tier: str, probes: str, stop: Callable[[], bool], stack: ExitStack) -> None:
        self.seen = Seen()
        self._ticks: Iterator[pipeline.Tick] = iter(())
        try:
            source = stack.enter_context(closing(open_source(tier, probes)))
            self._ticks = stack.enter_context(
                closing(pipeline.steps(source, until=pipeline.Until(also=stop)))
            )
        except Exception as error:
            self.seen.failure = error
        self.going = self.step()

    def step(self) -> bool:
        """Advance by one step; False once it has ended."""
        if self.seen.failure is not None:
            return False
        try:
            tick = next(self._ticks, None)
        except Exception as error:
            self.seen.failure = error
            return False
        if tick is not None:
            self.seen.add(tick)
        return tick is not None


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
            text = self._process.communicate(timeout=pipeline.pace.TICK_S)[0]
        except subprocess.TimeoutExpired:
            return False
        if self._process.returncode:
            raise UmtraceError(f"the exercise failed with status {self._process.returncode}")
        self.ledgers.append(json.loads(text))
        self._process = None
        if self._waiting:
            self.start()
        return self._process is None
