"""Mounts that only walkers are in, by every system call that takes a path: hardly one is unknown.

A walker in C is far tighter than one in Python. Its own clock says when it was out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.scripts import SCRIPTS, load_script

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL, ROUNDS = "6.12", 12


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    for needed in ("qemu-system-x86_64", "cc"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed: make lab-deps, as root")
    file = tmp_path_factory.mktemp("walkers") / "run.json"
    script = [sys.executable, SCRIPTS / "held-among-walkers", "--lab", KERNEL, "--cases", "all"]
    options = ["--mounts", str(ROUNDS * len(load_script("held-among-walkers").EVERY))]
    done = subprocess.run(
        [*script, *options, "--save", file], check=False, capture_output=True, text=True
    )
    if not file.is_file():
        pytest.fail(f"{done.stdout[-2000:]}{done.stderr[-4000:]}", pytrace=False)
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def script():
    return load_script("held-among-walkers")


def test_no_brief_mount_is_called_held(saved, script):
    assert script.wrongly_held(saved) == []


def test_nine_of_ten_brief_mounts_are_called_transient(saved, script):
    calls = script.called(saved["windows"])
    brief = [truth["name"] for truth in saved["truths"] if script.is_brief(truth)]
    assert len(brief) > ROUNDS, "how many are brief depends on the load"
    said = [verdict for name in brief for verdict, _ in calls.get(name, ())[:1]]
    assert said.count("spurious") >= 0.9 * len(said), said


def test_it_is_judged_again_as_it_was_live(saved, script):
    assert script.called(saved["again"]) == script.called(saved["windows"])
