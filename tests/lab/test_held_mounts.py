"""Mounts that are held among path walkers, on a real kernel: none is called spurious.

The short form of `make lab-held`, which has ten times as many mounts on three kernels.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.scripts import SCRIPTS, load_script

pytestmark = pytest.mark.lab

KERNEL = os.environ.get("UMTRACE_LAB_KERNELS", "5.10").split(",")[0]
MOUNTS = 60


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    for needed in ("qemu-system-x86_64", "cc"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed: make lab-deps, as root")
    file = tmp_path_factory.mktemp("held") / "run.json"
    script = [sys.executable, SCRIPTS / "held-among-walkers", "--lab", KERNEL]
    options = ["--mounts", str(MOUNTS), "--every-ms", "2", "--save", file]
    done = subprocess.run([*script, *options], check=False, capture_output=True, text=True)
    if not file.is_file():
        pytest.fail(f"{done.stdout[-2000:]}{done.stderr[-4000:]}", pytrace=False)
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def script():
    return load_script("held-among-walkers")


def test_no_held_mount_is_called_spurious(saved, script):
    held = [truth for truth in saved["truths"] if script.is_held(truth)]
    assert len(held) >= MOUNTS / 2, "how many are held for certain depends on the load"
    assert script.wrongly_spurious(saved) == []


def test_no_mount_is_called_settled_while_somebody_holds_it(saved):
    assert saved["settled"] == []


def test_no_mount_that_walkers_left_at_once_is_called_held(saved, script):
    assert script.wrongly_held(saved) == []


def test_it_is_judged_again_as_it_was_live(saved, script):
    assert script.called(saved["again"]) == script.called(saved["windows"])


def test_the_keeper_is_named(saved, script):
    calls = script.called(saved["again"])
    held = [truth for truth in saved["truths"] if script.is_held(truth)]
    named = [t for t in held if any(t["keeper"] in pids for _, pids in calls.get(t["name"], ()))]
    assert named
