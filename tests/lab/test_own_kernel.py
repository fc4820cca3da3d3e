"""A Debian kernel as its build tree, booted, and compared with one of the table."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from lab.errors import LabError
from tests.lab import own_kernel
from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

LOAD = "umtrace exercise --sync 30 --lazy 30 --json"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    try:
        installed = own_kernel.unpacked("6.12-cloud", tmp_path_factory.mktemp("packages"))
    except LabError as error:
        pytest.skip(f"the kernel's package cannot be fetched: {error}")
    return own_kernel.as_built(installed, tmp_path_factory.mktemp("linux"))


def release_of(built):
    return (built / "include/config/kernel.release").read_text().strip()


def test_a_build_tree_boots_as_what_it_is(built):
    release = release_of(built)
    # A module that the initramfs does not load, and where the guest finds it.
    done = in_guest(built, "uname -r; modprobe loop; modinfo -F filename loop; hostname")
    assert done.returncode == 0, end_of(done)
    said, module, host = done.stdout.splitlines()
    assert said == release
    assert module == f"/lib/modules/{release}/kernel/drivers/block/loop.ko"
    assert host == "lab-" + re.sub(r"[^a-zA-Z0-9]", "-", release)


def test_the_same_load_on_two_kernels_and_what_differs(built, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lab", "compare", "--out", tmp_path / "new", "6.12", built, LOAD],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, end_of(done)
    metas = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("new/*/*/meta.json"))]
    a, b = (meta["kernel"].split()[0] for meta in metas)
    assert re.fullmatch(r"6\.12\.\S+-amd64", a)
    assert a != b
    assert b == release_of(built)
    for mode in ("sync", "lazy"):
        assert f"{mode}: 30 umounts in A, 30 in B" in done.stdout
    assert "RCU wait" in done.stdout
