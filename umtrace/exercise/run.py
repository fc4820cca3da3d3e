"""Runs the exercise: the namespace around it, the scenarios in order, the ledger at the end."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from umtrace.exercise import scenarios
from umtrace.exercise.config import ORDER, ExerciseConfig
from umtrace.exercise.detached import detach, fd_close
from umtrace.exercise.interrupt import Stop, catch_signals
from umtrace.exercise.layers import layers
from umtrace.exercise.ledger import Ledger
from umtrace.exercise.loopback import wait_cleared
from umtrace.exercise.namespace import PrivateNamespace, private_namespace
from umtrace.exercise.nsexit import ns_exit
from umtrace.exercise.parallel import tasks
from umtrace.exercise.sources import Sources
from umtrace.exercise.stage import Stage, quiet_gc
from umtrace.model.clock import ClockPair
from umtrace.model.errors import NotPermittedError, UmtraceError

_SCENARIOS: Final[Mapping[str, Callable[[Stage], None]]] = {
    "sync": scenarios.sync,
    "lazy": scenarios.lazy,
    "tasks": tasks,
    "ns-exit": ns_exit,
    "detach": detach,
    "fd-close": fd_close,
    "layers": layers,
    "propagate": scenarios.propagate,
    "busy": scenarios.busy,
}

_REASONS: Final = {
    errno.ENOSPC: "no room for another mount: raise fs.mount-max, or free some memory",
    errno.ENODEV: "this kernel does not have the file system: try modprobe, or --fstype tmpfs",
    errno.EMFILE: "too many open files: raise ulimit -n, or ask for fewer busy mounts",
}


def run(config: ExerciseConfig) -> Ledger:
    """Do what the config asks for, in a private mount namespace, and say what was done.

    The calling process is in that namespace meanwhile and back in its own on return.
    SIGINT and SIGTERM end the run early; the ledger then lists what was done so far.
    """
    clock = ClockPair.here()
    devices = []
    with catch_signals() as stop:
        with _explained(), private_namespace(clock) as space, ExitStack() as held:
            ledger = _new_ledger(config, space, clock)
            sources = Sources(config, space.root / "images", held)
            devices = sources.devices
            stage = Stage(
                config=config,
                root=space.root,
                actor=space.actor,
                ledger=ledger,
                sources=sources,
                held=held,
                stop=stop,
            )
            _perform(stage, stop)
        ledger.teardown = space.teardown
        ledger.notes += [f"{d}: still has its image" for d in devices if not wait_cleared(d)]
    ledger.interrupted_by = stop.signum
    return ledger


def _new_ledger(config: ExerciseConfig, space: PrivateNamespace, clock: ClockPair) -> Ledger:
    return Ledger(
        root=str(space.root),
        mntns=space.actor.mntns,
        pid=space.actor.pid,
        kernel=os.uname().release,
        clock=clock,
        config=config.to_json(),
    )


def _perform(stage: Stage, stop: Stop) -> None:
    with quiet_gc(), _all_files_allowed():
        for name in ORDER:
            if not stop:
                _SCENARIOS[name](stage)
    with suppress(FileNotFoundError):
        stage.ledger.notes += stage.errors.read_text().splitlines()


@contextmanager
def _all_files_allowed() -> Iterator[None]:
    # Every busy mount has a file open in it until the end.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise NotPermittedError(
                f"{error.filename}: {error.strerror}: needs root: run with sudo, or CAP_SYS_ADMIN"
            ) from error
        if error.errno in _REASONS:
            raise UmtraceError(f"{error.filename}: {_REASONS[error.errno]}") from error
        raise
