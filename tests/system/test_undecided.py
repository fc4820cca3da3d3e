"""A live filter and what nobody knows: such a row is left out, counted, and the count is told.

The outcome that nobody knows is that of a call that has not returned when the recorder ends: it
looks up a path of a FUSE server that does not answer.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.holders import fuse_server
from tests.system.umtrace_command import COMMAND, umtrace
from umtrace.exercise import syscalls
from umtrace.pipeline import stream
from umtrace.pipeline.offline import replay
from umtrace.recording import Recording
from umtrace.sources.replay import ReplaySource
from umtrace.stats.filters import RowFilter

RECORDINGS = Path(__file__).parents[2] / "recordings"
SAID = re.compile(r"^umtrace: (\d+) of (\d+) rows (?:has|have) no outcome: left out$", re.M)
UMOUNT = """
import sys
from umtrace.exercise import syscalls
syscalls.timed_umount(sys.argv[1].encode(), 0)
"""


@contextmanager
def umount_without_end(directory):
    """Have a task inside umount(2), which waits until this ends."""
    point = directory / "fuse"
    point.mkdir()
    words = [sys.executable, fuse_server.__file__, str(point), "LOOKUP"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "serves\n"
        with subprocess.Popen([sys.executable, "-c", UMOUNT, str(point / "x")]) as caller:
            assert server.stdout.readline() == "silent\n"
            try:
                yield
            finally:
                server.kill()
                caller.wait()
                syscalls.timed_umount(bytes(point), 2)


def stopped(process):
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    return said


def started(word, *args):
    words = [*COMMAND, *args, "--tier", "tracepoint", "--errno", "EBUSY"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while word not in (line := process.stderr.readline()):
        assert line, "it ended"
    return process


@pytest.mark.kernel
def test_record_and_its_readers_tell_how_many(tmp_path):
    process = started("recording into", "record", "-o", tmp_path / "r")
    with umount_without_end(tmp_path):
        said = stopped(process)
    unknown, rows = map(int, SAID.search(said).groups())
    assert 1 <= unknown <= rows
    kept = json.loads((tmp_path / "r" / "meta.json").read_text())["undecided"]
    assert kept == {"errno": {"unknown": unknown, "rows": rows}}
    report = umtrace("report", tmp_path / "r").stdout
    assert f"unknown when recorded: {unknown} of {rows} rows ha" in report


@pytest.mark.kernel
def test_trace_tells_how_many(tmp_path):
    process = started("tracing", "trace")
    with umount_without_end(tmp_path):
        said = stopped(process)
    assert int(SAID.search(said)[1]) >= 1


def test_a_replay_tells_how_many():
    recording = Recording.open(RECORDINGS / "first-look.umt")
    rows = sum(batch.num_rows for batch in recording.batches("umounts"))
    asked = RowFilter(fstype=("tmpfs",), comm=("*",))
    for tick in replay(recording, row_filter=asked):
        assert not tick.rows.num_rows
    assert tick.undecided == {"fstype": (rows, rows), "comm": (0, rows)}
    source = ReplaySource(recording)
    source.open()
    *_, last = stream(source, row_filter=asked)
    assert last.undecided == tick.undecided
    *_, last = replay(recording)
    assert not last.undecided


@pytest.mark.parametrize("broken", [7, {"errno": 1}, {"errno": {"unknown": "x", "rows": []}}])
def test_a_count_that_is_damaged_is_not_told(tmp_path, broken):
    from umtrace.present.heading import undecided_texts

    assert undecided_texts(broken) == []
