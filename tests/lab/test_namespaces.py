"""Mount namespaces before NS_MNT_GET_NEXT: found by files, descriptors and threads on 5.10."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab
WAYS = "file or descriptor or thread or table or chroot"


def test_every_way_into_a_namespace_on_the_oldest_kernel():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed: make lab-deps, as root")
    inside = "python -m pytest -q -p no:cacheprovider tests/holders/test_keepers.py -k"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "lab",
            "run",
            "5.10",
            "--timeout",
            "900",
            "--",
            f"{inside} '{WAYS}'",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
