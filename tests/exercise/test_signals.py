from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.exercise.ledgers import read_ledger

pytestmark = pytest.mark.kernel


def some_sync(root: Path) -> bool:
    return root.joinpath("sync").exists() and root / "sync/3" in (root / "sync").iterdir()


def some_tasks(root: Path) -> bool:
    calls = root / "tasks" / "1" / "calls"
    return calls.exists() and calls.stat().st_size > 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("options", "begun"),
    [("--sync 1000000", some_sync), ("--tasks 2 --duration 600", some_tasks)],
)
def test_the_ledger_of_a_run_cut_short(running, signum, options, begun):
    one = running(options)
    one.wait_for(begun)
    code, out, err = one.end(signum)
    assert code == 128 + signum
    assert err == f"umtrace: ended by {signum.name}; the ledger lists what was done\n"
    ledger = read_ledger(out)
    assert ledger.interrupted_by == signum
    assert ledger.complete
    assert len(ledger.umounts) == ledger.totals()["mounts_gone"] > 0
    assert ledger.teardown.how == "setns"
    assert not Path(ledger.root).exists()


def test_nothing_survives_a_kill(running, exercise):
    one = running("--sync 1000000 --walkers 2")
    one.wait_for(some_sync)
    leftover = Path(tempfile.gettempdir(), one.root().name)
    children = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()
    one.end(signal.SIGKILL)
    assert len(children) == 2
    for child in children:
        wait_dead(int(child))
    assert list(leftover.iterdir()) == []
    exercise("--sync 1")
    assert not leftover.exists()


def wait_dead(pid: int) -> None:
    """Gone, or a zombie that the init of this container has not looked at yet."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.01)
    pytest.fail(f"{pid} still runs")
