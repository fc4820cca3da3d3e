"""Teardowns of real mounts: whose they are, and whether their critical path is what the end waits
for: an umount is delayed, and the end moves if it was on the path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import umtrace
from umtrace.query.selection import Selection
from umtrace.query.teardowns import each_teardown

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
MS = 1_000_000
TASKS = [[30, 30, 30, 30], [10, 10]]
DELAY_MS = 50
RUNS, TRIES = 3, 3
CONTAINERS, MOUNTS = 20, 3
ROOT = Path(__file__).parents[2]
#: a namespace that tells its number, mounts, waits until all are there, and unmounts one by one
CONTAINER = """
place=$0; mkdir -p $place; mount -t tmpfs top $place
for n in 1 2 3; do mkdir -p $place/$n; mount -t tmpfs box $place/$n; done
stat -L -c %i /proc/self/ns/mnt; read go
for n in 1 2 3; do umount $place/$n; done
"""


def recorded(path, *command):
    """Record a command on this kernel."""
    arguments = [sys.executable, "-m", "umtrace", "record", "-q", "-f", "-o", path, "--"]
    done = subprocess.run(
        [*arguments, *command], check=False, capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return umtrace.load(path)


@pytest.fixture
def late(tmp_path):
    """Run `late_teardown` with some delays; return (path, lasted_ns): what was on the path."""
    if not Path("/dev/fuse").exists():
        pytest.skip("no /dev/fuse: FUSE is not built in, and its module not loaded")

    def run(tasks):
        folder = tmp_path / "m"
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.system.late_teardown", folder, json.dumps(tasks)]
        rec = recorded(tmp_path / "late.umt", *command)
        names = {
            f"{folder}/{task}.{n}": (task, n)
            for task, delays in enumerate(tasks)
            for n in range(len(delays))
        }
        rows = rec.umounts[rec.umounts.path.isin(list(names))]
        assert sorted(rows.path) == sorted(names)
        (down,) = [t for t in each_teardown(Selection(rec.recording)) if len(t.rows) >= len(names)]
        steps = [down.scene.text("path", step.row) for step in down.path]
        ends = rows.t_start.astype("int64") + rows.latency_ns
        lasted = int(ends.max() - rows.t_start.astype("int64").min())
        seen = all(
            took >= tasks[task][n] * MS
            for name, took in zip(rows.path, rows.latency_ns, strict=True)
            for task, n in [names[name]]
        )
        return [names[step] for step in steps if step in names], lasted, seen

    return run


def whole(late, tasks):
    """Run until the end of each umount was seen: the tracepoint tier may see it too early."""
    for _ in range(5):
        path, lasted, seen = late(tasks)
        if seen:
            return path, lasted
    pytest.skip("the end of an umount was seen too early in each of 5 runs")


def slower(task, number):
    """Return the delays, one of them longer."""
    tasks = [list(delays) for delays in TASKS]
    tasks[task][number] += DELAY_MS
    return tasks


def test_the_end_moves_if_and_only_if_an_umount_on_the_path_is_delayed(late):
    said = []
    for _ in range(TRIES):
        runs = [whole(late, TASKS) for _ in range(RUNS)]
        for path, _ in runs:
            assert path == [(0, 0), (0, 1), (0, 2), (0, 3)]
        before = min(lasted for _, lasted in runs)
        on = min(whole(late, slower(0, 1))[1] for _ in range(RUNS)) - before
        off = min(whole(late, slower(1, 0))[1] for _ in range(RUNS)) - before
        said.append(f"on the path {on / MS:+.1f} ms, off it {off / MS:+.1f} ms")
        assert on > off - DELAY_MS * MS / 2, said
        if abs(on - DELAY_MS * MS) < 10 * MS and abs(off) < 10 * MS:
            return
    pytest.skip(f"the host is too loaded to tell, {DELAY_MS} ms later: {'; '.join(said)}")


def test_a_path_follows_the_task_that_is_late(late):
    path, _ = whole(late, [[10, 10], [60, 60]])
    assert path == [(1, 0), (1, 1)]


def test_twenty_namespaces_at_once_are_twenty_teardowns(tmp_path):
    script = tmp_path / "all.py"
    script.write_text(
        "import subprocess, sys\n"
        f"command = {CONTAINER!r}\n"
        "pipe = subprocess.PIPE\n"
        "run = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', command]\n"
        f"places = [f'{tmp_path}/box{{n}}' for n in range({CONTAINERS})]\n"
        "all = [subprocess.Popen([*run, p], stdin=pipe, stdout=pipe, text=True) for p in places]\n"
        "numbers = [one.stdout.readline().strip() for one in all]\n"
        "[one.stdin.write('go\\n') and one.stdin.flush() for one in all]\n"
        "assert not any([one.wait() for one in all])\n"
        "open(sys.argv[1], 'w').write(' '.join(numbers))\n"
    )
    rec = recorded(tmp_path / "all.umt", sys.executable, script, tmp_path / "numbers")
    numbers = (tmp_path / "numbers").read_text().split()
    assert len(set(numbers)) == CONTAINERS
    found = rec.teardowns()
    found = found[found.owner.isin(numbers)]
    assert sorted(found.owner) == sorted(numbers)
    assert (found.umounts - found.ns_ends == MOUNTS).all()
    assert (found.ns_ends <= 1).all()
    assert (found.failed == 0).all()
    for owner, path in zip(found.owner, found.path, strict=True):
        rows = rec.umounts[rec.umounts.id.isin(list(path))]
        assert set(rows.mntns.astype("string")) == {owner}
        # One shell unmounts one after the other: each is on the path.
        assert (rows.origin == "umount").sum() == MOUNTS
