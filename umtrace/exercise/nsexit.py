"""Processes whose mount namespace ends when they exit."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor
from umtrace.exercise.children import fork_child
from umtrace.exercise.ledger import Teardown
from umtrace.exercise.namespace import count_all_mounts
from umtrace.exercise.stage import Stage

#: tid, mount namespace, mounts in it, monotonic time just before the exit
_REPORT: Final = struct.Struct("<qqqq")
_OWN_MOUNTS: Final = 2


def ns_exit(stage: Stage) -> None:
    """Have one child after the other leave a namespace behind, `config.ns_exit` in all."""
    for number in range(stage.config.ns_exit):
        if stage.stop:
            return
        directory = stage.root / "ns-exit"
        directory.mkdir(exist_ok=True)
        _one(stage, f"umt-ns-{number}", str(directory))


def _one(stage: Stage, comm: str, directory: str) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as reports:
        try:
            pid = fork_child(comm, stage.errors, _child(directory, writer))
        finally:
            os.close(writer)
        os.waitpid(pid, 0)
        dead = time.perf_counter_ns()
        report = reports.read()
    if len(report) != _REPORT.size:
        stage.ledger.complete = False
        stage.ledger.notes.append(f"{comm}: ended early; its namespace is not listed")
        return
    tid, mntns, n_mounts, begin = _REPORT.unpack(report)
    stage.ledger.ns_exits.append(
        Teardown(
            how="exit",
            mntns=mntns,
            pid=pid,
            tid=tid,
            comm=comm,
            t_start=begin + stage.ledger.clock.offset_ns,
            latency_ns=dead - begin,
            n_mounts=n_mounts,
        )
    )


def _child(directory: str, writer: int) -> Callable[[], None]:
    def body() -> None:
        syscalls.unshare_mounts()
        for _ in range(_OWN_MOUNTS):
            syscalls.mount("umtrace-exercise", directory, "tmpfs")
        actor = Actor.current()
        n_mounts = count_all_mounts()
        begin = time.perf_counter_ns()
        os.write(writer, _REPORT.pack(actor.tid, actor.mntns, n_mounts, begin))

    return body
