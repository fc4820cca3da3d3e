"""Mount namespaces where the kernel does not list them: in a pid namespace of one's own.

There NS_MNT_GET_NEXT is refused, as it is missing before Linux 6.12: what is left are files,
descriptors, threads and processes. tests/lab/test_namespaces.py does the same on 5.10.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
WAYS = "file or descriptor or thread or table or chroot"


@pytest.mark.usefixtures("alone")
def test_every_way_into_a_namespace_without_a_list(tmp_path):
    alone = ["unshare", "-m", "--pid", "--fork", "--mount-proc"]
    tests = Path(__file__).with_name("test_keepers.py")
    # A folder of its own for the lock, too: these tests run alone, as this one does.
    options = [f"--basetemp={tmp_path / 'inner'}", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "pytest", *options, "-k", WAYS, tests],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
