"""The EBUSY scenarios on hosts that lack something: one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCENARIOS = [sys.executable, "-m", "tests.scenarios.ebusy"]
WITHOUT_LOOP = 'mount --bind /dev/null /dev/loop-control && exec "$@"'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="modprobe loop")  # noqa: PTH110
def test_without_loop_devices(tmp_path):
    command = ["unshare", "-m", "sh", "-c", WITHOUT_LOOP, "sh", *SCENARIOS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tests.scenarios.ebusy: no loop devices here")
    assert done.stderr.count("\n") == 1


def test_without_a_directory(tmp_path):
    done = subprocess.run(
        [*SCENARIOS, tmp_path / "no"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "usage")


@pytest.mark.parametrize("chosen", ["nothing=3", "open-fd=x", "open-fd"])
def test_scenarios_that_are_none(tmp_path, chosen):
    done = subprocess.run(
        [*SCENARIOS, tmp_path, chosen], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "usage")
