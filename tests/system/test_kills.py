"""kill -9 of an umounter and of the recorder while an umount hangs, in this kernel's best tier.

More tiers and a crash of the kernel: tests/lab/test_kills.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.kill_checks import recorder_left_nothing, umounters_have_rows
from tests.working_tiers import working_tiers

pytestmark = pytest.mark.kernel

CHECKS = {"umounters": umounters_have_rows, "recorder": recorder_left_nothing}


@pytest.mark.parametrize("killed", CHECKS)
def test_what_was_begun_is_recorded(tmp_path, killed):
    if not all(Path(device).exists() for device in ("/dev/fuse", "/dev/loop-control")):
        pytest.skip("this kernel has no FUSE, or no loop devices: modprobe -a fuse loop")
    tier = working_tiers()[0]
    command = [sys.executable, "-m", "tests.lab.kill_workload", tmp_path, tier, killed]
    # A mount namespace of its own, so that nothing stays on the host if it fails.
    subprocess.run(["unshare", "-m", *command], check=True, env=dict(os.environ), timeout=180)
    CHECKS[killed](tmp_path / f"{tier}-{killed}")
