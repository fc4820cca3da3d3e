"""Mounts that go without umount(2): by rmdir of their mountpoint, by closing a descriptor."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor
from umtrace.exercise.children import fork_child
from umtrace.exercise.ledger import Teardown
from umtrace.exercise.stage import Stage

_REPORT: Final = struct.Struct("<qq")  # tid, mount namespace


def detach(stage: Stage) -> None:
    """Remove directories on which another mount namespace has a mount, `config.detach` times.

    The child that holds that namespace stays asleep until the exercise is over and then
    exits with it: one more namespace that ends, listed in `ns_exits`.
    """
    if not stage.config.detach:
        return
    top = stage.root / "detach"
    places = [top / str(number) for number in range(stage.config.detach)]
    for place in places:
        place.mkdir(parents=True)
    ready, tell = os.pipe()
    gone, release = os.pipe()
    pid = fork_child("umt-elsewhere", stage.errors, _elsewhere(places, tell, gone, release))
    os.close(tell)
    os.close(gone)
    with os.fdopen(ready, "rb") as reports:
        tid, mntns = _REPORT.unpack(reports.read(_REPORT.size))
    for place in places:
        _timed(stage, "detach-on-unlink", mntns, place.rmdir)
    begin = time.perf_counter_ns()
    os.close(release)
    os.waitpid(pid, 0)
    stage.ledger.ns_exits.append(
        Teardown(
            how="exit",
            mntns=mntns,
            pid=pid,
            tid=tid,
            comm="umt-elsewhere",
            t_start=begin + stage.ledger.clock.offset_ns,
            latency_ns=time.perf_counter_ns() - begin,
            n_mounts=None,
        )
    )


def _elsewhere(places: list[Path], tell: int, gone: int, release: int) -> Callable[[], None]:
    def body() -> None:
        os.close(release)
        syscalls.unshare_mounts()
        for place in places:
            syscalls.mount("umtrace-exercise", str(place), "tmpfs")
        actor = Actor.current()
        os.write(tell, _REPORT.pack(actor.tid, actor.mntns))
        os.read(gone, 1)  # until the other end is closed

    return body


def fd_close(stage: Stage) -> None:
    """Close descriptors that hold the only reference to a detached mount, `config.fd_close`."""
    for _ in range(stage.config.fd_close):
        if stage.stop:
            return
        fd = syscalls.open_tree_clone(str(stage.root))
        _timed(stage, "fd-close", 0, lambda fd=fd: os.close(fd))  # type: ignore[misc]


def _timed(stage: Stage, origin: str, mntns: int, act: Callable[[], None]) -> None:
    begin = time.perf_counter_ns()
    act()
    latency = time.perf_counter_ns() - begin
    stage.ledger.others.append(
        Teardown(
            how="call",
            mntns=mntns,
            pid=stage.actor.pid,
            tid=stage.actor.tid,
            comm=stage.actor.comm,
            t_start=begin + stage.ledger.clock.offset_ns,
            latency_ns=latency,
            n_mounts=1,
            origin=origin,
        )
    )
