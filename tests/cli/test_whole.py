"""A signal while stdout is full: what was printed is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_LINES = 30_000
_WRITER = f"""
import signal, sys
from umtrace.cli.whole import whole
from umtrace.model.stopping import StopSignals
sys.stdout = whole(sys.stdout)
with StopSignals() as signals:
    print("ready", file=sys.stderr, flush=True)
    for begin in range(0, {_LINES}, 5000):
        lines = "".join(f"{{n:06}}\\n" for n in range(begin, begin + 5000))
        if begin % 10_000:
            sys.stdout.write(lines)
        else:
            sys.stdout.buffer.write(lines.encode())
        sys.stdout.flush()
sys.exit(signals.received)
"""


@pytest.mark.parametrize("run", range(20))
def test_an_interrupt_while_the_pipe_is_full_cuts_nothing(run):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", _WRITER], **pipes)
    assert process.stderr.readline() == b"ready\n"
    time.sleep(0.02 * run)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out.decode().split() == [f"{number:06}" for number in range(_LINES)]


@pytest.mark.parametrize("where", ["/dev/full", "a pipe nobody reads"])
def test_what_cannot_be_written_is_one_line(where):
    command = [sys.executable, "-m", "umtrace", "report", "recordings/storm.umt"]
    if where == "/dev/full":
        with Path(where).open("w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        return
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")
