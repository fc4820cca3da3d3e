"""How a run ended."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lab import boot


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ("LABRC 0\n", 0),
        ("LABRC 127\n", 127),
        ("LABRC 3", 3),
        ("", None),
        ("LABRC \n", None),
        ("LABRC 1000\n", None),
        ("echo LABRC 0\n", None),
    ],
)
def test_the_status_is_what_the_guest_reported(report, status):
    assert boot.parse_status(report) == status


def outcome(folder, status, limit=None):
    (folder / "console").write_bytes(b"".join(b"line %d\n" % n for n in range(200)) + b"\xff\n")
    if status is not None:
        (folder / "status").write_text(status)
    return boot._outcome(folder, 1.5, limit)


def test_a_report_is_the_commands_status(tmp_path):
    result = outcome(tmp_path, "LABRC 7\n")
    assert (result.status, result.trouble, result.seconds) == (7, "", 1.5)


def test_no_report_is_a_crash(tmp_path):
    result = outcome(tmp_path, None)
    assert (result.status, result.trouble) == (200, "the guest ended without an exit status")


def test_the_end_of_time_outweighs_a_late_report(tmp_path):
    result = outcome(tmp_path, "LABRC 0\n", limit=12.0)
    assert (result.status, result.trouble) == (200, "killed after 12 s")


def test_the_console_is_shown_from_its_end(tmp_path):
    tail = outcome(tmp_path, None).console_tail.splitlines()
    assert len(tail) == boot.CONSOLE_TAIL_LINES
    assert tail[-2:] == ["line 199", "\N{REPLACEMENT CHARACTER}"]


def test_a_silent_console_is_said_to_be_silent(tmp_path):
    assert boot._outcome(tmp_path, 0.1, None).console_tail == "(nothing)"


@pytest.mark.lab
def test_a_guest_that_does_not_end_says_what_it_does(tmp_path):
    """A real guest that sleeps: its console holds its tasks and what its processors run."""
    command = ["run-all", "--kernels", "5.10", "--timeout", "60", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "lab", *command, "--", "sleep 1000"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "killed after 60 s" in done.stdout
    console = (tmp_path / "5.10" / "console.log").read_text()
    # On a busy host the emulated serial port now and then sends a character twice.
    once = re.sub(r"(.)\1+", r"\1", console)
    assert "task:slep state:S" in once, console[-4000:]
    assert "NMI backtrace" in once


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    """Run a shell script as the emulator; it finds how often it ran in the file ``ran``."""

    def run(script):
        ran = tmp_path / "ran"
        words = ["sh", "-c", f"echo >> {ran}; n=$(wc -l < {ran}); {script}"]
        monkeypatch.setattr(boot, "_prepare", lambda folder, ready, job: None)
        monkeypatch.setattr(
            boot,
            "_command",
            lambda machine, job, ports: [*words, "sh", ports["lab.stdout"]],
        )
        ready = SimpleNamespace(name="some", programs=None)
        job = SimpleNamespace(interactive=False, timeout_seconds=30)
        stdout = io.BytesIO()
        outcome = boot.run(ready, job, out=None, stdout=stdout, stderr=io.BytesIO())
        return outcome, ran.read_text().count("\n"), stdout.getvalue()

    return run


def test_an_emulator_that_aborts_before_the_guest_began_runs_again(emulated, capfd):
    outcome, times, output = emulated("[ $n -gt 1 ] || kill -ABRT $$; echo done > $1")
    assert (times, output) == (2, b"done\n")
    assert outcome.trouble == "the guest ended without an exit status"
    assert "aborted before the guest began: once more" in capfd.readouterr().err


def test_an_emulator_that_aborts_twice_is_trouble(emulated):
    outcome, times, _ = emulated("kill -ABRT $$")
    assert (outcome.status, outcome.trouble, times) == (200, "the emulator aborted twice", 2)


@pytest.mark.parametrize("script", ["echo half > $1; kill -ABRT $$", "exit 1"])
def test_a_guest_that_began_is_not_run_again(emulated, script):
    outcome, times, _ = emulated(script)
    assert (outcome.trouble, times) == ("the guest ended without an exit status", 1)
