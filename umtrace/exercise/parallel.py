"""Processes that mount and unmount at the same time, each in its own place.

Each packs its calls into a file in the private root; the log takes them from there,
so that neither memory nor a pipe limits how many there are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import ROW
from umtrace.exercise.children import Gate, SharedWords, fork_child, reap
from umtrace.exercise.sources import Source
from umtrace.exercise.stage import Stage, fill, quiet_gc

#: Calls of all tasks together; a ledger of more is of no use to anyone.
MAX_CALLS: Final = 1_000_000
_WAIT, _GO, _QUIT = 0, 1, 2
_POLL_S: Final = 0.0002
_START_S: Final = 5.0
_PATIENCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One of the processes."""

    number: int
    context: int  #: what its rows refer to; the log gets it when the pid is known
    path: str
    source: Source
    results: Path
    flags: tuple[int, int]  #: of even and of odd calls
    max_calls: int

    @property
    def comm(self) -> str:
        """Its name, as probes see it."""
        return f"umt-task-{self.number}"


def tasks(stage: Stage) -> None:
    """Run the tasks for the duration and log what they did."""
    count = stage.config.tasks
    if not count or stage.stop:
        return
    crew = [_task(stage, number) for number in range(count)]
    shared, gate = SharedWords(1 + count), Gate()
    pids: list[int] = []
    try:
        pids.extend(
            fork_child(task.comm, stage.errors, _body(stage, task, shared, gate))
            for task in crew
            if not stage.stop
        )
        _wait_ready(stage, shared, len(pids))
        gate.open()
        _wait_done(stage, shared, len(pids))
    finally:
        shared.words[0] = _QUIT
        gate.open()
        codes = reap(pids)
        shared.close()
        for task, pid, code in zip(crew, pids, codes, strict=False):
            _collect(stage, task, pid, code)


def _task(stage: Stage, number: int) -> Task:
    directory = stage.root / "tasks" / str(number)
    directory.mkdir(parents=True)
    (directory / "mnt").mkdir()
    detach = syscalls.MNT_DETACH
    flags = {"sync": (0, 0), "lazy": (detach, detach), "mixed": (0, detach)}
    return Task(
        number=number,
        context=len(stage.log.contexts) + number,
        path=str(directory / "mnt"),
        source=stage.sources.get(f"task-{number}"),
        results=directory / "calls",
        flags=flags[stage.config.task_mode],
        max_calls=max(1, MAX_CALLS // stage.config.tasks),
    )


def _wait_ready(stage: Stage, shared: SharedWords, count: int) -> None:
    deadline = time.monotonic() + _START_S
    while not stage.stop and time.monotonic() < deadline:
        if _WAIT not in shared.words[1 : 1 + count].tolist():
            return
        time.sleep(_POLL_S)


def _wait_done(stage: Stage, shared: SharedWords, count: int) -> None:
    deadline = time.monotonic() + stage.config.duration_s
    while not stage.stop and (left := deadline - time.monotonic()) > 0:
        if set(shared.words[1 : 1 + count].tolist()) == {_QUIT}:
            return
        stage.stop.sleep(min(left, 0.1))


def _body(stage: Stage, task: Task, shared: SharedWords, gate: Gate) -> Callable[[], None]:
    def body() -> None:
        words, index = shared.words, 1 + task.number
        words[index] = _GO
        gate.wait()
        try:
            with quiet_gc():
                _work(stage, task, words)
        finally:
            words[index] = _QUIT

    return body


def _work(stage: Stage, task: Task, words: memoryview) -> None:
    path, offset = os.fsencode(task.path), stage.ledger.clock.offset_ns
    failures = 0
    with task.results.open("wb", buffering=1 << 16) as results:
        for call in range(task.max_calls):
            if words[0] == _QUIT:
                return
            if not failures:
                task.source.mount(task.path)
                fill(Path(task.path), stage.config.files, stage.stop)
                flags = task.flags[call & 1]
            begin, latency, errno = syscalls.timed_umount(path, flags)
            start, gone = begin + offset, int(not errno)
            row = (start, latency, -1, task.context, flags, errno, gone, failures)
            results.write(ROW.pack(*row))
            failures = failures + 1 if errno else 0
            if failures > _PATIENCE:
                raise OSError(errno, os.strerror(errno), task.path)


def _collect(stage: Stage, task: Task, pid: int, code: int) -> None:
    ledger = stage.ledger
    actor = replace(stage.actor, pid=pid, tid=pid, comm=task.comm)
    if ledger.umounts.context(task.path, "tasks", actor) != task.context:
        raise AssertionError(f"{task.comm}: its rows refer to another context")
    data = b""
    with suppress(FileNotFoundError):
        data = task.results.read_bytes()
    ledger.umounts.extend(data)
    if len(data) // ROW.size >= task.max_calls:
        ledger.notes.append(f"{task.comm}: stopped after {task.max_calls} calls")
    if code < 0:
        ledger.complete = False
        ledger.notes.append(f"{task.comm}: killed by signal {-code}; not all its calls are listed")
    task.results.unlink(missing_ok=True)
