"""The table of wrong calls: what was typed, the one line that is said of it, the exit status."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from umtrace.cli.main import run

_TOP = Path(__file__).parents[2]
_R = "recordings/first-look.umt"
_NO_DURATION = "is no duration; give seconds, or a number with its unit, as 250us, 10s or 1m"
_STDOUT = "- is standard output, where {} cannot go; give a name"
_TIERS = "the tiers are auto, fentry, kprobe, ftrace, tracepoint, ftrace-static"

_READERS = (
    "report", "hist", "ebusy", "teardowns", "whatif", "export", "repair", f"diff {_R}",
    "trace --replay", "survey --replay",
)  # fmt: skip

#: (arguments, the line or its beginning, exit status); EMPTY is an empty directory
TABLE = [
    # a name that is not known
    ("reprot", "no such command 'reprot'; did you mean report? (see 'umtrace --help')", 2),
    ("Report x", "no such command 'Report'; did you mean report?", 2),
    ("frobnicate", "no such command 'frobnicate' (see 'umtrace --help')", 2),
    ("help reprot", "no such command 'reprot'; did you mean report?", 2),
    ("fleet repotr x", "no such command 'repotr'; did you mean report?", 2),
    (f"report {_R} --jsn", "no such option '--jsn'; did you mean --json?", 2),
    (f"report {_R} --sectoin x", "no such option '--sectoin'; did you mean --section?", 2),
    (f"report {_R} --nope", "no such option '--nope' (see 'umtrace report --help')", 2),
    (f"fleet report {_R} --expct x", "no such option '--expct'; did you mean --expect?", 2),
    ("exercise --hodl 1s", "no such option '--hodl'; did you mean --hold?", 2),
    (f"export {_R} --to jsnl", "invalid value for '--to': 'jsnl' is not one of 'csv', ", 2),
    (f"plot {_R} --kind hits -o x.png", "invalid value for '--kind': 'hits' is not one of", 2),
    (f"hist {_R} --by mdoe", "cannot group by 'mdoe'; choose from ", 2),
    (f"report {_R} --by none,mode", "cannot group by 'none'; choose from ", 2),
    (f"export {_R} --columns pth", "no column 'pth' in umounts; there are: id, t_start, ", 2),
    (f"export {_R} --columns ''", "no column '' in umounts; there are: id, t_start, ", 2),
    ("record --summaries /no/dir/x", "/no/dir: no such directory; create it first", 2),
    (f"summarize {_R} -o /no/dir/x", "/no/dir: no such directory; create it first", 2),
    ("record --tier warp", f"no tier 'warp'; {_TIERS}", 2),
    ("trace --tier warp", f"no tier 'warp'; {_TIERS}", 2),
    ("selftest --tier warp", f"no tier 'warp'; {_TIERS}", 2),
    # an argument too few or too many
    ("report", "missing argument 'DIR' (see 'umtrace report --help')", 2),
    (f"diff {_R}", "missing argument 'B' (see 'umtrace diff --help')", 2),
    (f"html {_R}", "missing option '-o' / '--output' (see 'umtrace html --help')", 2),
    (f"report {_R} b", "got unexpected extra argument (b)", 2),
    # a value that is none
    ("record -d 10x", f"invalid value for '-d' / '--duration': '10x' {_NO_DURATION}", 2),
    ("trace -d nan", f"invalid value for '-d' / '--duration': 'nan' {_NO_DURATION}", 2),
    ("record -d -1", f"invalid value for '-d' / '--duration': '-1' {_NO_DURATION}", 2),
    ("stuck --for 1x", f"invalid value for '--for': '1x' {_NO_DURATION}", 2),
    ("exercise --hold x", f"invalid value for '--hold': 'x' {_NO_DURATION}", 2),
    ("exercise --tasks 1 --duration ''", f"invalid value for '--duration': '' {_NO_DURATION}", 2),
    (f"report {_R} --min-latency 5x", f"invalid value for '--min-latency': '5x' {_NO_DURATION}", 2),
    (f"ebusy {_R} --spurious-within x", "invalid value for '--spurious-within': 'x' is no dura", 2),
    (f"fleet report {_R} --late 1y", f"invalid value for '--late': '1y' {_NO_DURATION}", 2),
    (f"report {_R} --pid x", "invalid value for '--pid': 'x' is no whole number", 2),
    (f"report {_R} --pid -1", "invalid value for '--pid': -1 is too small, the least is 0", 2),
    (f"ebusy {_R} 0", "invalid value for '[N]': 0 is too small, the least is 1", 2),
    (f"ebusy {_R} x", "invalid value for '[N]': 'x' is no whole number", 2),
    (f"ebusy {_R} 99", "no window 99: there are 15 with these options", 2),
    (f"whatif {_R} --normal-gp 1ms,x", f"invalid value for '--normal-gp': 'x' {_NO_DURATION}", 2),
    (f"whatif {_R} --hz x", "invalid value for '--hz': 'x' is no whole number", 2),
    (f"whatif {_R} --seed -1", "invalid value for '--seed': -1 is too small, the least is 0", 2),
    (f"plot {_R} --dpi x -o x.png", "invalid value for '--dpi': 'x' is no whole number", 2),
    (f"teardowns {_R} --gap 1x", f"invalid value for '--gap': '1x' {_NO_DURATION}", 2),
    (f"teardowns {_R} nobody", "no teardown of 'nobody': `umtrace teardowns DIR` lists them", 2),
    ("survey -d 1x", f"invalid value for '-d' / '--duration': '1x' {_NO_DURATION}", 2),
    ("exercise --sync 1e3", "invalid value for '--sync': '1e3' is no whole number", 2),
    ("exercise --sync 9999999", "invalid value for '--sync': 9999999 is too large, at most 10", 2),
    ("record --ready-fd x", "invalid value for '--ready-fd': 'x' is no whole number", 2),
    (f"report {_R} --errno EWHAT", "invalid value for '--errno': 'EWHAT' is no errno; give a", 2),
    (f"fleet report {_R} --since soon", "invalid value for '--since': 'soon' is no time, such", 2),
    # standard output where it cannot be
    ("record -o -", "invalid value for '-o' / '--output': " + _STDOUT.format("a recording"), 2),
    ("import x -o -", "invalid value for '-o' / '--output': " + _STDOUT.format("a recording"), 2),
    (f"plot {_R} -o -", "invalid value for '-o' / '--output': " + _STDOUT.format("a picture"), 2),
    (f"summarize {_R} -o -", "invalid value for '-o' / '--output': - is standard output, ", 2),
    (f"fleet plot {_R} -o -", "invalid value for '-o' / '--output': - is standard output, ", 2),
    ("record --summaries -", "invalid value for '--summaries': " + _STDOUT.format("summaries"), 2),
    # a file or directory that is not there, or of another kind
    *[(f"{words} /no/such", "/no/such: no such recording", 2) for words in _READERS],
    ("plot /no/such -o x.png", "/no/such: no such recording", 2),
    ("html /no/such -o x.html", "/no/such: no such recording", 2),
    ("summarize /no/such -o x", "/no/such: no such recording", 2),
    ("fleet report /no/such", "/no/such: no such directory", 2),
    ("import /no/such -o EMPTY/i", "/no/such: no such file or directory", 2),
    ("why /no/such", "/no/such: no such file or directory", 2),
    ("record -- /no/such", "cannot run '/no/such': not found, or not executable", 2),
    *[
        (f"{words} EMPTY", "EMPTY: not a recording: the directory is empty", 5)
        for words in _READERS
    ],
    ("report README.md", "README.md: is a file; a recording is a directory", 5),
    *[
        (f"{words}{suffix}", "/no/dir: no such directory; create it first", 2)
        for words, suffix in (
            (f"plot {_R} -o /no/dir/x", ".png"),
            (f"html {_R} -o /no/dir/x", ".html"),
            (f"export {_R} -o /no/dir/x", ".csv"),
            ("record -d 0 -o /no/dir/x", ".umt"),
        )
    ],
    *[
        (words, "README.md: exists already; use --force to replace it", 2)
        for words in (f"html {_R} -o README.md", f"export {_R} -o README.md")
    ],
    (f"html {_R} -f -o EMPTY", "EMPTY: is a directory; name a file", 2),
    (f"plot {_R} -o x.gif", "x.gif: a picture ends in .png, .svg, .pdf", 2),
    ("record -d 0 -o README.md", "README.md: is a file; choose another name for the recording", 2),
    # options that contradict each other, or change nothing
    (f"report {_R} --json --format csv", "--json and --format csv contradict each other: give", 2),
    (f"fleet report {_R} --json --format csv", "--json and --format csv contradict each other", 2),
    ("doctor --paths --clean", "--paths only lists paths; leave out --clean", 2),
    ("doctor --paths --full", "--paths only lists paths; leave out --full", 2),
    (f"export {_R} --to perfetto --columns id", "--columns is for csv and jsonl; a trace has", 2),
    (
        f"plot {_R} --kind modes --by comm -o x.png",
        "--by is for hist, cdf, phases; --kind",
        2,
    ),
    (f"trace --replay {_R} --tier fentry", "--tier is for live umounts; --replay prints", 2),
    (f"survey --replay {_R} -d 1", "--duration is for live umounts; --replay reads a rec", 2),
    (f"survey --replay {_R} --tier fentry", "--tier is for live umounts; --replay reads", 2),
    (f"survey --replay {_R} --spurious-within 1s", "--spurious-within is for live umounts", 2),
    ("survey --merge --tier fentry README.md", "--tier is for live umounts; --merge reads", 2),
    (f"survey --merge --replay {_R}", "--merge reads surveys; --replay reads a recording", 2),
    ("survey --merge", "--merge needs the files of the surveys", 2),
    ("survey README.md", "FILE is for --merge: umtrace survey --merge README.md", 2),
    (f"trace --replay {_R} -d 1", "--duration is for live umounts; --replay prints", 2),
    ("exercise --sync 1 --duration 1s", "--duration is for --tasks: give both", 2),
    ("exercise --sync 1 --task-mode lazy", "--task-mode is for --tasks: give both", 2),
    ("exercise --sync 1 --hold 1s", "--hold is for --lazy or --busy or --holds: give both", 2),
    ("exercise --lazy 1 --walkers 2", "--walkers is for --sync: give both", 2),
    (
        f"fleet report {_R} --since 2026-02-01 --until 2026-01-01",
        "--since is not before --until",
        2,
    ),
]


@pytest.mark.parametrize(("words", "line", "status"), TABLE, ids=[row[0] for row in TABLE])
def test_a_wrong_call_is_one_line(words, line, status, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(_TOP)
    before = set(_TOP.iterdir())
    words, line = (text.replace("EMPTY", str(tmp_path)) for text in (words, line))
    got = run(shlex.split(words))
    said = capsys.readouterr()
    assert (got, said.out) == (status, "")
    assert said.err.endswith("\n")
    assert len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith(f"umtrace: {line}")
    assert set(_TOP.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
@pytest.mark.parametrize("command", ["record -d 0", "trace -d 0", "doctor", "selftest", "exercise"])
def test_no_root_is_status_3(command, tmp_path):
    tmp_path.chmod(0o777 | 0o1000)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "umtrace", *command.split()],
        env={"PATH": os.environ["PATH"], "UMTRACE_CACHE": "0", "PYTHONPATH": str(_TOP)},
        capture_output=True,
        text=True,
        check=False,
        user="nobody",
        cwd=tmp_path if command.startswith("record") else "/",
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "sudo" in done.stdout + done.stderr


@pytest.mark.parametrize("text", ["0.1", "0.1s", "100ms", "100000us", ".1"])
def test_a_duration_is_the_same_everywhere(text, capsys, monkeypatch):
    monkeypatch.chdir(_TOP)
    assert run(["report", _R, "--min-latency", text]) == 0
    assert "only: --min-latency 100ms" in capsys.readouterr().out
    assert run(["ebusy", _R, "--spurious-within", text]) == 0
    assert run(["fleet", "report", _R, "--late", text]) == 0
    assert run(["stuck", "--for", text]) in {0, 10, 11, 13}


@pytest.mark.parametrize(
    "words", ["", "help", "--help", "-h", "fleet", "help fleet", "help report", "help fleet diff"]
)
def test_help_is_help(words, capsys):
    assert run(words.split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("Usage: umtrace")
    name = words.removeprefix("help").strip("- help")
    assert f"Usage: umtrace {name}".rstrip() in said.out


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option, capsys):
    assert run([option]) == 0
    assert capsys.readouterr().out.startswith("umtrace, version ")
