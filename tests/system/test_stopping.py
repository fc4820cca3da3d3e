"""Signals, and a stderr that fails: commands end when asked, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.umtrace_command import COMMAND, start_recording, umtrace
from umtrace.recording import Recording

#: ends the process by Ctrl-C at the moment it imports a module
INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
wanted = sys.argv.pop(1)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from umtrace.cli import main
main()
"""
STUBBORN = "trap '' INT TERM HUP; echo $$ >&2; for i in $(seq 300); do sleep 0.1; done"


@pytest.mark.parametrize(
    "module", ["umtrace.cli.main", "click", "umtrace.cli.report", "numpy", "pyarrow", "rich.table"]
)
def test_ctrl_c_during_an_import_is_one_line(module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, "report", "recordings/first-look.umt"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.strip()) == (130, "umtrace: interrupted")


@pytest.mark.kernel
def test_a_hangup_that_nohup_ignores_does_not_end_a_recording(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start_recording(tmp_path / "r")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    process.stderr.close()
    assert Recording.open(tmp_path / "r").meta.state == "closed"


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_recording_whose_command_goes_on(tmp_path, number):
    process = start_recording(tmp_path / "r", "--", "sh", "-c", STUBBORN)
    shell = int(process.stderr.readline())
    try:
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
        assert Recording.open(tmp_path / "r").meta.state == "closed"
    finally:
        os.kill(shell, signal.SIGKILL)
        process.stderr.close()


@pytest.mark.kernel
def test_a_signal_reaches_the_command_after_the_duration_too(tmp_path):
    process = start_recording(tmp_path / "r", "-d", "0", "--", "sh", "-c", "sleep 30")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not closed(tmp_path / "r"):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    process.stderr.close()


def closed(path: Path) -> bool:
    with suppress(Exception):
        return Recording.open(path).meta.state == "closed"
    return False


@pytest.mark.kernel
@pytest.mark.parametrize("stderr", ["/dev/full", "a pipe without a reader"])
def test_a_stderr_that_fails_ends_no_recording(tmp_path, stderr):
    if stderr == "/dev/full":
        fd = os.open(stderr, os.O_WRONLY)
    else:
        reader, fd = os.pipe()
        os.close(reader)
    command = ["record", "-o", tmp_path / "r", "--", "sh", "-c", "sleep 1; exit 3"]
    done = umtrace(*command, capture_output=False, stdout=subprocess.PIPE, stderr=fd)
    os.close(fd)
    assert done.returncode == 3
    assert Recording.open(tmp_path / "r").meta.state == "closed"


@pytest.mark.parametrize("option", ["--tasks", "--walkers"])
def test_exercise_refuses_more_processes_than_a_host_can_bear(option):
    done = umtrace("exercise", "--sync", "1", option, "100000", timeout=20)
    assert done.returncode == 2
    assert "at most" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.kernel
def test_many_tasks_end_at_the_first_signal():
    process = subprocess.Popen(
        [*COMMAND, "exercise", "--tasks", "300", "--duration", "600"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
