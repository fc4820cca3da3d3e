"""docs/use/: their commands are run, and answer as the pages say."""

from __future__ import annotations

import json
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


def shape(line):
    """Return a line without what differs from run to run: numbers, and the room they take."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.:]*", "N", line)).strip()


def answers(page):
    """Return what the page shows as answers of umtrace and umount."""
    written = re.sub(r"<!-- begin: .*?<!-- end: [^>]*-->", "", page.read_text(), flags=re.DOTALL)
    lines = "".join(_FENCED.findall(written)).splitlines()
    return [line for line in lines if line and not line.startswith(("# ", "Not seen: ", "umtrace"))]


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
    umount, why, ask, record, ebusy, window = commands("busy.md", "# ")
    assert record.startswith("umtrace record")
    # Others unmount on this host too.
    record += " --mntns $(stat -L -c %i /proc/self/ns/mnt)"
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
        {window}
        """,
        tmp_path,
    )
    assert re.findall(r"status (\d+)", said) == ["32", "11", "0"]
    seen = {shape(line) for line in said.splitlines()}
    assert [line for line in answers(USE / "busy.md") if shape(line) not in seen] == []


def test_two_sides(tmp_path):
    script = "\n".join(commands("compare.md", "umtrace "))
    assert script.count("umtrace record") == 2
    said = run(script, tmp_path)
    counted = re.search(r"sync: ([\d,]+) umounts in A, ([\d,]+) in B", said)
    assert counted, said
    assert (
        min(int(n.replace(",", "")) for n in counted.groups()) >= 400
    )  # others unmount on this host too


def test_a_teardown(tmp_path):
    (record,) = commands("teardowns.md", "umtrace record")
    listed, timeline = commands("teardowns.md", "# ")
    page = (USE / "teardowns.md").read_text()
    (box,) = [block for block in _FENCED.findall(page) if block.startswith("unshare ")]
    (tmp_path / "box.sh").write_text(box)
    run(record, tmp_path)
    found = json.loads(run(f"{listed} --json", tmp_path))["teardowns"]
    (one,) = [each for each in found if each["umounts"] - each["ns_ends"] == 13]
    said = run(f"{listed}\n{timeline.removesuffix('1')}{one['number']}", tmp_path).splitlines()
    # The cells are as wide as this run's figures: words are compared, not their spaces.
    headings = [" ".join(line.split()) for line in said]
    assert "# time (UTC) lasted umounts GPs in a row owner" in headings
    steps = [line.split()[3] for line in said if line.startswith(("* ", "~ "))]
    assert [step.rpartition("box")[2] for step in steps[:13]] == [
        *(f"/{n}" for n in range(1, 13)),
        "",
    ]
    legend = [line for line in page.splitlines() if line.startswith(("*: ", "L names", "- other"))]
    assert len(legend) == 3
    assert set(legend) <= set(said)
