"""Bad input on the command line: one line on stderr that says what to do, the right exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.umtrace_command import umtrace

LAB = "recordings/lab-ebusy.umt"


def check(done, code, *words):
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("umtrace: ")
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["report", "hist", "export", "repair"])
def test_a_path_that_does_not_exist(command):
    check(umtrace(command, "/no/such.umt"), 2, "/no/such.umt")


@pytest.mark.parametrize("command", ["report", "hist", "export", "repair"])
def test_a_directory_that_is_no_recording(command, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    check(umtrace(command, tmp_path), 5, str(tmp_path))


def test_a_file_instead_of_a_recording(tmp_path):
    (tmp_path / "x").write_text("hello")
    check(umtrace("report", tmp_path / "x"), 5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start_ns", 2**70),
        ("clock", {"monotonic_ns": 2**70, "realtime_ns": 0}),
        ("spurious_within_ns", "x"),
        ("containers", ["x"]),
        ("containers", {"1": 5}),
    ],
)
def test_a_meta_json_that_umtrace_did_not_write(tmp_path, key, value):
    shutil.copytree("recordings/lab-ebusy.umt", tmp_path / "r")
    meta = json.loads((tmp_path / "r/meta.json").read_text())
    (tmp_path / "r/meta.json").write_text(json.dumps({**meta, key: value}))
    done = umtrace("trace", "--replay", tmp_path / "r")
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1), done.stderr
    assert "meta.json is damaged" in done.stderr


def test_a_recording_of_a_newer_major_version(tmp_path):
    (tmp_path / "meta.json").write_text('{"format": "9.0", "tier": "x"}')
    check(umtrace("report", tmp_path), 5, "newer")


def test_no_such_command_option_or_tier():
    check(umtrace("frobnicate"), 2, "frobnicate")
    check(umtrace("report", "--nope", "x"), 2, "--nope")
    check(umtrace("record", "--tier", "warp"), 2, "warp")


def test_a_filter_that_makes_no_sense():
    check(umtrace("trace", "--min-latency", "soon"), 2, "soon")
    check(umtrace("trace", "--errno", "EWHAT"), 2, "EWHAT")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pid", "9" * 26),
        ("--mntns", str(2**64)),
        ("--cgroup", "9" * 26),
        ("--min-latency", "9" * 23 + "s"),
    ],
)
def test_a_filter_beyond_all_numbers(option, value):
    check(umtrace("report", "recordings/first-look.umt", option, value), 2, value)


@pytest.mark.parametrize("arguments", [("record", "-d"), ("exercise", "--hold")])
def test_a_time_that_is_no_number(arguments):
    check(umtrace(*arguments, "nan"), 2, arguments[1], "nan")


def test_a_replay_takes_no_options_of_a_live_trace():
    for option in (("--tier", "fentry"), ("--duration", "1"), ("--probes", "light")):
        check(umtrace("trace", "--replay", "recordings/first-look.umt", *option), 2, option[0])


def test_a_replay_that_misses_events_says_so(tmp_path):
    shutil.copytree("recordings/first-look.umt", tmp_path / "r")
    (tmp_path / "r/events-00001.parquet").write_bytes(b"x")
    done = umtrace("trace", "--replay", tmp_path / "r")
    assert done.returncode == 5
    assert "events-00001.parquet: damaged" in done.stderr


def test_a_replay_filters_windows_as_rows():
    replay = ["trace", "--replay", "recordings/lab-ebusy.umt", "--json"]
    lines = [json.loads(line) for line in umtrace(*replay).stdout.splitlines()]
    windows = [line for line in lines if line.get("event") == "ebusy"]
    assert windows
    chosen = umtrace(*replay, "--pid", "1").stdout
    assert chosen == ""
    strict = umtrace(*replay, "--spurious-within", "1ns").stdout
    again = [json.loads(line) for line in strict.splitlines()]
    assert 0 < sum(is_spurious(line) for line in again) < sum(map(is_spurious, lines))


def is_spurious(line):
    return line.get("event") == "ebusy" and line["spurious"] is True


def test_a_command_that_does_not_exist_replaces_no_recording(tmp_path):
    shutil.copytree("recordings/first-look.umt", tmp_path / "r")
    before = sorted(path.name for path in (tmp_path / "r").iterdir())
    check(umtrace("record", "-f", "-o", tmp_path / "r", "--", "/no/such"), 2, "/no/such")
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == before


def test_a_ready_fd_that_is_not_open():
    check(umtrace("record", "--ready-fd", "99"), 2, "--ready-fd", "99")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
@pytest.mark.parametrize(("arguments", "code"), [((), 3), (("--clean",), 3)])
def test_doctor_without_root_says_what_to_do(arguments, code):
    command = [sys.executable, "-m", "umtrace", "doctor", *arguments]
    environment = {"PATH": os.environ["PATH"], "UMTRACE_CACHE": "0"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, user="nobody"
    )
    assert done.returncode == code
    assert "run it with sudo" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without a home")
def test_doctor_of_a_user_without_a_home():
    done = subprocess.run(
        [sys.executable, "-m", "umtrace", "doctor", "--full"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        user=54321,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert "no home directory" in done.stdout


def test_a_missing_parent_directory():
    check(umtrace("record", "-o", "/no/such/dir/r.umt"), 2, "/no/such/dir")


@pytest.mark.parametrize("command", ["record", "trace", "doctor", "--help", "--version"])
def test_starting_imports_neither_pandas_nor_matplotlib(command, tmp_path):
    code = (
        "import sys; from umtrace.cli.main import run; "
        f"run([{command!r}, *(['-d', '0'] if {command!r} in ('record', 'trace') else [])]); "
        "bad = {'pandas', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_help_imports_no_command():
    code = (
        "import sys; from umtrace.cli.main import run; run(['--help']); "
        "heavy = {'numpy', 'pyarrow', 'rich', 'bcc'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_closed_stdout():
    command = f"{sys.executable} -m umtrace exercise --help >&-"
    done = subprocess.run(command, shell=True, check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["export", "trace --replay", "report --json", "ebusy"])
def test_a_pipe_that_closes_is_no_error(words):
    recording = Path(__file__).parents[2] / "recordings" / "first-look.umt"
    command = [sys.executable, "-m", "umtrace", *words.split(), str(recording)]
    read, write = os.pipe()
    os.close(read)  # nobody reads from the first byte on
    with os.fdopen(write, "wb") as out:
        done = subprocess.run(command, check=False, stdout=out, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_command_at_all_prints_the_help():
    done = umtrace()
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: umtrace")
    assert len(done.stdout.splitlines()) > 15


def test_debug_shows_where_an_error_came_from():
    done = umtrace("report", "/no/such/recording", env={**os.environ, "UMTRACE_DEBUG": "1"})
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "umtrace: /no/such/recording: no such recording"


@pytest.mark.parametrize("arguments", [("help", "report"), ("report", "--help")])
def test_help_of_a_command_in_both_orders(arguments):
    assert umtrace(*arguments).stdout.startswith("Usage: umtrace report")


def test_a_typo_gets_a_suggestion():
    check(umtrace("reprot", "x"), 2, "no such command 'reprot'; did you mean report?")


def test_options_that_contradict_each_other():
    check(umtrace("report", LAB, "--json", "--format", "csv"), 2, "--json and --format csv")


def test_markdown_has_the_windows_too():
    done = umtrace("report", LAB, "--format", "markdown")
    assert "| held | real | 25 |" in done.stdout


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC"])
def test_every_clock_is_utc_and_says_so(zone):
    environment = {**os.environ, "TZ": zone}
    for command in (("trace", "--replay", LAB), ("ebusy", LAB)):
        done = umtrace(*command, env=environment)
        assert "(UTC)" in done.stdout
        assert "16:06:40.322" in done.stdout


@pytest.mark.parametrize("mib", [200, 250, 300])
@pytest.mark.parametrize("arguments", [("report", LAB), ("why", "/proc")])
def test_too_little_memory_is_no_internal_error(mib, arguments):
    limit = f"ulimit -v {mib * 1024}; exec {sys.executable} -m umtrace {' '.join(arguments)}"
    done = subprocess.run(["sh", "-c", limit], capture_output=True, text=True, check=False)
    if done.returncode == 1:
        assert "internal error" not in done.stderr
        assert "memory" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
