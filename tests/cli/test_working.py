"""The line on a terminal while a command is silent."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from umtrace.cli.working import Announced, Working, _age_s, announce, in_another_process
from umtrace.model.activity import NOW

_TOP = Path(__file__).parents[2]
_LINE = re.compile(r"\r\x1b\[K(?:umtrace: [ -~]+ \.\.\. \d+ s)?")


@pytest.fixture
def terminal(monkeypatch):
    """The reading end of a terminal, and a stream that writes to it."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield ours, stream
    os.close(ours)


def test_it_shows_what_is_done_and_how_far(terminal):
    ours, stream = terminal
    working = Working(stream)
    NOW.note("reading umounts", 0.25)
    working.begin()
    assert os.read(ours, 200).decode() == "\r\x1b[Kumtrace: reading umounts, 25% ... 0 s"
    working.end()
    assert os.read(ours, 200).decode().endswith("\r\x1b[K")


def test_what_is_written_takes_its_place(terminal):
    ours, stream = terminal
    working = Working(stream)
    announced = Announced(stream, working)
    working.begin()
    os.read(ours, 200)
    announced.write("answer")
    announced.flush()
    said = ""
    while "answer" not in said:
        said += os.read(ours, 200).decode()
    assert _LINE.sub("", said) == "answer"
    assert said.endswith("\r\x1b[Kanswer")


def test_bytes_take_its_place_when_they_come(terminal):
    ours, stream = terminal
    working = Working(stream)
    bytes_below = Announced(stream, working).buffer
    working.begin()
    assert os.read(ours, 200)
    assert bytes_below.isatty()
    bytes_below.write(b"answer")
    bytes_below.flush()
    said = b""
    while b"answer" not in said:
        said += os.read(ours, 200)
    assert said.endswith(b"\r\x1b[Kanswer")


def test_it_shows_nothing_where_nobody_looks(terminal, monkeypatch, tmp_path):
    _, stream = terminal
    monkeypatch.setenv("TERM", "dumb")
    assert not Working(stream).is_shown
    with (tmp_path / "x").open("w") as file:
        assert not Working(file).is_shown


def test_it_begins_before_the_command_line_is_imported():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import umtrace.cli.streams; print("
    code += "*{'click', 'dataclasses', 'inspect', 'pathlib', 'numpy'} & sys.modules.keys())"
    command = [sys.executable, "-I", "-S", "-c", code, _TOP]
    assert subprocess.check_output(command, text=True) == "\n"


def test_a_slow_start_of_python_is_a_part_of_the_silence(terminal):
    _, stream = terminal
    assert 0 < _age_s() < time.clock_gettime(time.CLOCK_BOOTTIME)
    working = Working(stream)
    working.begin(0.0)
    assert os.read(terminal[0], 200).startswith(b"\r\x1b[Kumtrace: ")
    working.end()


@pytest.mark.parametrize("words", ["report {}", "hist {}", "ebusy {}"])
def test_no_command_leaves_a_trace_of_it(words):
    command = [sys.executable, "-m", "umtrace", *words.format("recordings/propagation.umt").split()]
    plain = subprocess.run(command, cwd=_TOP, capture_output=True, text=True, check=True).stdout
    pid, ours = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.chdir(_TOP)
        os.execv(command[0], command)
    said = _LINE.sub("", _all_of(ours)).replace("\r\n", "\n")
    assert os.waitpid(pid, 0)[1] == 0
    assert said == plain


def _all_of(fd: int) -> str:
    parts = []
    while True:
        try:
            parts.append(os.read(fd, 65536))
        except OSError:  # its other end is closed
            return b"".join(parts).decode()
        time.sleep(0)


def test_another_process_shows_it_for_a_command_that_forks(terminal, monkeypatch):
    ours, stream = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    before = _children()
    with in_another_process("unmounting"):
        assert _children() - before
        assert os.read(ours, 200).decode() == "\r\x1b[Kumtrace: unmounting ... 0 s"
    time.sleep(0.3)  # in which it would draw again
    assert os.read(ours, 200).decode().endswith("\r\x1b[K")
    assert _children() <= before


def test_no_thread_is_left_where_a_command_forks(terminal, monkeypatch):
    _, stream = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setattr("umtrace.cli.working._CURRENT", [])
    before = set(threading.enumerate())
    announce()
    assert set(threading.enumerate()) - before
    with in_another_process("unmounting"):
        assert not set(threading.enumerate()) - before


def _children() -> set[str]:
    """Return this process's children, dead ones too; other tests in it may have left some."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}
