"""Runs `umtrace exercise` as users do: in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.exercise.ledgers import read_ledger
from umtrace.exercise.ledger import Ledger

COMMAND = [sys.executable, "-c", "from umtrace.cli import main; main()", "exercise"]


class HostMounts:
    """The mounts of this process; others on the host may come and go meanwhile."""

    def __init__(self) -> None:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        self.ours = [line for line in lines if "umtrace-exercise" in line]
        #: by id, device and root: the options and the propagation
        self.kept = {tuple(w[:4]): w[5 : w.index("-")] for w in map(str.split, lines)}

    def assert_unchanged(self) -> None:
        now = HostMounts()
        assert now.ours == self.ours
        for mount in self.kept.keys() & now.kept.keys():
            assert now.kept[mount] == self.kept[mount]


def left_behind(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"umtrace-exercise-{pid}-*"))


def used_loop_devices() -> set[Path]:
    return set(Path("/sys/block").glob("loop*/loop/backing_file"))


@pytest.fixture
def exercise() -> Callable[[str], Ledger]:
    """Run to the end, check that the host is as it was, and return the ledger."""

    def run(options: str) -> Ledger:
        mounts, loops = HostMounts(), used_loop_devices()
        done = subprocess.run(
            [*COMMAND, *options.split(), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        ledger = read_ledger(done.stdout)
        mounts.assert_unchanged()
        assert used_loop_devices() <= loops
        assert left_behind(ledger.pid) == []
        assert (ledger.complete, ledger.notes) == (True, [])
        return ledger

    return run


class FtraceBase:
    """An exercise that has begun and has long to go."""

    def __init__(self, options: str) -> None:
        self.mounts = HostMounts()
        self.process = subprocess.Popen(
            [*COMMAND, *options.split(), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def root(self) -> Path:
        """Its root, seen from its own namespace; the directory there may not be made yet."""
        tmp = Path(f"/proc/{self.pid}/root{tempfile.gettempdir()}")
        return next(tmp.glob(f"umtrace-exercise-{self.pid}-*"), tmp / "not-yet")

    def wait_for(self, begun: Callable[[Path], bool]) -> None:
        """Wait until its root looks begun; looking must not walk into what it unmounts."""
        deadline = time.monotonic() + 20
        while not begun(self.root()):
            assert time.monotonic() < deadline
            if self.process.poll() is not None:
                pytest.fail(f"it ended by itself: {self.process.communicate()[1]}")
            time.sleep(0.01)

    def end(self, signum: signal.Signals) -> tuple[int, str, str]:
        """Send the signal to all of its processes that a terminal would send it to."""
        if signum is signal.SIGKILL:
            self.process.kill()
        else:
            os.killpg(self.pid, signum)
        out, err = self.process.communicate(timeout=20)
        self.mounts.assert_unchanged()
        return self.process.returncode, out, err


@pytest.fixture
def running() -> Iterator[Callable[[str], FtraceBase]]:
    begun: list[FtraceBase] = []

    def begin(options: str) -> FtraceBase:
        begun.append(FtraceBase(options))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
        for directory in left_behind(one.pid):
            directory.rmdir()
