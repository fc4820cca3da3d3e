"""docs/use/: their commands are run, and answer as the pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel
USE = Path(__file__).parents[2] / "docs/use"
_FENCED = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: two umounts of a mount, the second one after its holder has ended
_BUSY = "umount /mnt/data; sleep 2; kill {holder}; sleep 0.2; umount /mnt/data"


def commands(page, begin):
    """Return the commands in the fenced blocks of a page whose line begins so, without a prompt."""
    lines = "".join(_FENCED.findall((USE / page).read_text())).splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith(begin)]


def run(script, folder):
    """Run a shell script in a mount namespace of its own; returns what it wrote."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-e", "-c", textwrap.dedent(script)],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_busy_mount(tmp_path):
    umount, why, ask, record, ebusy = commands("busy.md", "# ")
    assert record.startswith("umtrace record")
    said = run(
        f"""
        mount -t tmpfs test /mnt; mkdir /mnt/data; mount -t tmpfs data /mnt/data
        echo x > /mnt/data/log
        tail -f /mnt/data/log > /dev/null & holder=$!
        sleep 0.5
        {umount} 2>&1 || echo "status $?"
        {why} || echo "status $?"
        kill $holder; sleep 0.5
        {ask} && echo "status $?"
        tail -f /mnt/data/log > /dev/null & holder=$!
        sleep 0.5
        {record} -- bash -c "{_BUSY.format(holder="$holder")}"
        {ebusy}
        """,
        tmp_path,
    )
    first, second, third, windows = said.split("status ")
    assert "target is busy" in first
    assert second.startswith("32\n")
    assert re.search(r"Held: .*pid \d+ tail: fd 3 /mnt/data/log", second, re.DOTALL)
    assert third.startswith("11\n")
    assert "The kernel says free" in third
    assert windows.startswith("0\n")
    assert re.search(r"held +real +2 .*/mnt/data\n +by tail \d+", windows)


def test_two_sides(tmp_path):
    script = "\n".join(commands("compare.md", "umtrace "))
    assert script.count("umtrace record") == 2
    said = run(script, tmp_path)
    assert "sync: 400 umounts in A, 400 in B" in said
