"""Recorders that find compiled programs, that find bad ones, and that are stopped compiling."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.umtrace_command import COMMAND, outcome, record_exercise, rows_under, umtrace
from umtrace.sources.bpf.program_cache import VARIABLE

pytestmark = pytest.mark.kernel
RECORD = ("record", "--tier", "tracepoint", "-d", "0", "-o")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Return an empty folder of kept programs."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def how(path):
    """Return where a recording's programs came from, and what was the matter."""
    plan = json.loads((path / "meta.json").read_text())["plan"]
    return next((step["how"], step["reason"]) for step in plan if step["meaning"] == "programs")


def test_kept_programs_record_the_same(cache, tmp_path):
    for name, source in (("cold", "compiled now"), ("warm", "kept")):
        path = tmp_path / name
        ledger = record_exercise(path, "--sync", 6, "--lazy", 3, "--busy", 2)
        assert how(path) == (source, "ok")
        assert outcome(rows_under(path, ledger["root"])) == outcome(ledger["umounts"])
    assert len(list(cache.glob("*.compiled"))) == 1
    assert len(list(cache.glob("*.tables"))) == 1


def test_kept_programs_need_no_compiler(cache, tmp_path):
    assert umtrace(*RECORD, tmp_path / "cold").returncode == 0
    (tmp_path / "bcc.py").write_text("raise ImportError('no compiler here')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from umtrace.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, *RECORD, tmp_path / "warm"]
    assert subprocess.run(words, check=False, timeout=60).returncode == 0


def test_a_damaged_one_is_told_and_compiled_again(cache, tmp_path):
    assert umtrace(*RECORD, tmp_path / "cold").returncode == 0
    (file,) = cache.glob("*.compiled")
    file.write_bytes(file.read_bytes()[:-1])
    done = umtrace(*RECORD, tmp_path / "damaged")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "is damaged" in line]
    assert how(tmp_path / "damaged")[0] == "compiled now"
    umtrace(*RECORD, tmp_path / "again")
    assert how(tmp_path / "again") == ("kept", "ok")


@pytest.mark.parametrize(
    ("options", "why"), [("ro", "Read-only file system"), ("size=4k", "No space left on device")]
)
def test_where_nothing_can_be_kept_it_records_all_the_same(cache, tmp_path, options, why):
    cache.mkdir(mode=0o700)
    mount = f'mount -t tmpfs -o mode=700,{options} none {cache} && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, "sh", *COMMAND, *RECORD, str(tmp_path / "r")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert len([line for line in done.stderr.splitlines() if why in line]) == 1
    assert how(tmp_path / "r")[0] == "compiled now"


def test_two_recorders_at_once(cache, tmp_path):
    both = [subprocess.Popen([*COMMAND, *RECORD, str(tmp_path / name)]) for name in "ab"]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert [how(tmp_path / name)[1] for name in "ab"] == ["ok", "ok"]
    assert len(list(cache.glob("*.compiled"))) == 1
    umtrace(*RECORD, tmp_path / "c")
    assert how(tmp_path / "c") == ("kept", "ok")


def _child(process):
    """Return the process id of the compiler, stopped."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := children.read_text().split():
            os.kill(int(found[0]), signal.SIGSTOP)
            return int(found[0])
        time.sleep(0.001)
    raise AssertionError("no compiler")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [("trace",), ("record", "-o", "r")])
def test_a_stop_while_compiling_is_one_line(monkeypatch, tmp_path, number, words):
    monkeypatch.setenv(VARIABLE, "0")
    process = subprocess.Popen(
        [*COMMAND, *words, "--tier", "tracepoint"], cwd=tmp_path, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    compiler = _child(process)
    os.killpg(process.pid, number)  # as a terminal or a shell's job control
    os.kill(compiler, number)  # a service manager's goes to all there are
    os.kill(compiler, signal.SIGCONT)
    _out, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    name = signal.Signals(number).name
    assert said == f"umtrace: stopped by {name} before the probes were attached\n"
    assert not (tmp_path / "r").exists()
