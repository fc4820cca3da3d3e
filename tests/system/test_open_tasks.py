"""An umount that hangs on this kernel: a run reports it while it does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from umtrace.pipeline import Until, run
from umtrace.sources.select import open_source
from umtrace.stats.filters import RowFilter

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse: modprobe fuse"),
]
_SERVER = Path(__file__).parents[1] / "holders" / "fuse_server.py"
#: umount(2) of a path on a FUSE file system that never answers
_SCRIPT = f"""
import os, subprocess, sys
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
command = [sys.executable, {str(_SERVER)!r}, sys.argv[1], "LOOKUP"]
server = subprocess.Popen(command, stdout=subprocess.PIPE)
server.stdout.readline()
sys.stdin.readline()
umounter = subprocess.Popen(
    [sys.executable, "-c", "import sys; from umtrace.exercise import syscalls; "
     "syscalls.timed_umount(sys.argv[1].encode(), 0)", sys.argv[1] + "/x"])
print(umounter.pid, flush=True)
sys.stdin.readline()
server.kill(); server.wait(); umounter.wait()
"""


class _Watch:
    def __init__(self, begin):
        self._begin = begin
        self.hangs, self.entries, self.rows, self._source = [], [], [], None

    def opened(self, about):
        self._source = about.source
        return nullcontext()

    def take(self, tick):
        self._begin()
        if tick.hangs:
            self.hangs += tick.hangs
            self.entries += self._source.open_tasks() or []
        self.rows += tick.rows.to_pylist()

    def finish(self):
        pass


def test_a_hang_is_reported_while_it_lasts(tmp_path):
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    script = subprocess.Popen(command, env={**os.environ}, **pipes)
    pids = []

    def begin():
        if not pids:
            script.stdin.write(b"\n")
            script.stdin.flush()
            pids.append(int(script.stdout.readline()))

    watch, until = _Watch(begin), time.monotonic() + 60
    try:
        source = open_source("auto", "full", meanwhile=lambda: None)
        over = Until(also=lambda: bool(watch.hangs) or time.monotonic() > until)
        run(source, [watch], until=over, row_filter=RowFilter(comm=("python*",)))
    finally:
        script.communicate(b"\n", timeout=30)
    (hang,) = [hang for hang in watch.hangs if hang.row["pid"] in pids]
    assert (hang.phase, hang.row["path"]) == ("lookup", f"{tmp_path}/x")
    assert 1e9 <= hang.so_far_ns < 30e9
    assert hang.phase_ns <= hang.so_far_ns
    (entry,) = [entry for entry in watch.entries if entry.tid in pids]
    assert entry.begun_ns <= entry.since_ns
    assert entry.phase == "lookup"
