from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tests.stats.rows import container_host
from umtrace.cli.filters import filter_options
from umtrace.cli.main import run
from umtrace.stats.filters import RowFilter


@pytest.fixture
def out(capsys):
    def call(*args):
        code = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_report_and_its_formats(out, recording):
    path = recording(container_host(40))
    code, text, _ = out("report", path)
    assert code == 0
    assert "losses: none" in text
    assert "RCU wait:" in text
    data = json.loads(out("report", path, "--json")[1])
    assert data == json.loads(out("report", path, "--format", "json")[1])
    assert sum(group["count"] for group in data["groups"]) == 40
    assert out("report", path, "--format", "csv", "--by", "none")[1].startswith("count,")
    assert out("report", path, "--format", "markdown")[1].startswith("`")


def test_report_of_some_sections(out, recording):
    path = recording(container_host(40))
    chosen = ("--section", "walkers", "--section", "groups")
    data = json.loads(out("report", path, "--json", *chosen)[1])
    assert list(data) == ["groups", "walkers", "losses", "meta"]
    text = out("report", path, *chosen)[1]
    assert "losses: none" in text
    assert "Path walks at a dying mount: not seen in this tier" in text
    assert "backed off" not in text
    assert "Phases of" not in text
    assert out("report", path, "--format", "csv", "--section", "ebusy")[1].count("\n") == 1
    assert out("report", path, "--section", "nope")[0] == 2


def test_report_on_one_screen(out, recording):
    path = recording(container_host(40))
    code, text, _ = out("report", path)
    assert code == 0
    assert text.startswith("40 umounts, median latency ")
    assert "umounts: 40 (" in text
    assert "Phases of" not in text
    assert text.count("\n") <= 23
    whole = out("report", path, "--full")[1]
    assert "Phases of" in whole
    assert whole.splitlines()[0] == text.splitlines()[0]


def test_report_filters_and_says_so(out, recording):
    path = recording(container_host(40), filters={"mode": ["sync", "lazy"]})
    _, text, _ = out("report", path, "--errno", "EBUSY", "--min-latency", "1us", "--comm", "umo*")
    assert "only: --comm umo* --min-latency 1us --errno EBUSY" in text
    assert "recorded only: --mode sync --mode lazy" in text
    assert "(100 %)" in text


def test_hist(out, recording):
    path = recording(container_host(40))
    code, text, _ = out("hist", path, "--phase", "rcu", "--bins", "log2", "--by", "none")
    assert code == 0
    assert "RCU wait of all:" in text
    assert "█" in text
    data = json.loads(out("hist", path, "--json")[1])
    assert data["metric"] == "latency_ns"


@pytest.mark.parametrize("kind", ["hist", "cdf", "phases"])
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot(out, recording, tmp_path, kind, suffix):
    target = tmp_path / f"picture.{suffix}"
    assert out("plot", recording(container_host(9)), "--kind", kind, "-o", target) == (0, "", "")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert target.read_bytes().startswith(start)


@pytest.mark.parametrize("command", ["report", "hist"])
def test_a_recording_of_nothing(out, recording, command):
    code, text, _ = out(command, recording([]))
    assert code == 0
    assert "No umount was recorded." in text


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--by", "path"], 2, "cannot group by 'path'"),
        (["--by", ""], 2, "cannot group by ''"),
        (["--errno", "EFOO"], 2, "'EFOO' is no errno"),
        (["--min-latency", "5x"], 2, "'5x' is no duration"),
        (["--pid", "x"], 2, "'x' is no whole number"),
        (["--cgroup", "no/such/group"], 2, "is no cgroup id"),
        (["--mode", "fast"], 2, "'fast' is not"),
    ],
)
def test_bad_values_are_one_line_and_exit_2(out, recording, args, code, words):
    got, text, err = out("report", recording([]), *args)
    assert (got, text) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_no_recording_there(out, tmp_path):
    assert out("report", tmp_path / "nope")[0] == 2
    (tmp_path / "empty").mkdir()
    assert out("report", tmp_path / "empty")[0] == 5


def test_plot_needs_a_name_it_can_write(out, recording, tmp_path):
    path = recording([])
    assert out("plot", path, "-o", tmp_path / "x.gif")[0] == 2
    assert out("plot", path, "-o", tmp_path / "no" / "x.png")[0] == 2


def test_damage_is_told_on_every_format(out, recording):
    path = recording(container_host(40))
    (chunk,) = path.glob("umounts-*.parquet")
    chunk.write_bytes(chunk.read_bytes()[:100])
    assert "DAMAGED: " in out("report", path)[1]
    assert json.loads(out("report", path, "--json")[1])["meta"]["problems"]
    assert chunk.name in out("report", path, "--format", "csv")[2]


@pytest.mark.parametrize(
    "command",
    [
        ("report",),
        ("report", "--json"),
        ("report", "--errno", "ok"),
        ("hist",),
        ("ebusy",),
        ("export",),
        ("plot", "-o", "{}/x.svg"),
        ("html", "-o", "{}/x.html"),
        ("diff", "{}/whole"),
    ],
)
def test_rows_that_are_gone_are_in_the_exit_status(out, recording, tmp_path, command):
    path = recording(container_host(40))
    shutil.copytree(path, tmp_path / "whole")
    arguments = [word.format(tmp_path) for word in command]
    assert out(arguments[0], path, *arguments[1:])[0] == 0
    (path / "umounts-00001.parquet").unlink()
    again = ["-f"] if "-o" in command else []
    status, shown, said = out(arguments[0], path, *arguments[1:], *again)
    assert status == 5
    if command[0] != "html":
        assert "rows missing at the end" in shown + said


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_every_encoding_gets_a_report(recording, encoding):
    path = recording(container_host(40))
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", "from umtrace.cli import main; main()", "report", path]
    done = subprocess.run(command, env=env, capture_output=True, check=True)
    assert "RCU wait" in done.stdout.decode(encoding)


def test_a_reader_that_goes_away_gets_no_complaint(recording):
    path = recording(container_host(40))
    script = "from umtrace.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "report", path, "--by", "comm,container,mode"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_filter_options_make_a_row_filter():
    @click.command()
    @filter_options
    def command(row_filter):
        seen.append(row_filter)

    seen = []
    args = ["--pid", "1", "--pid", "2", "--comm", "a*", "--cgroup", "7", "--container", "c"]
    args += ["--mntns", "5", "--fstype", "tmpfs", "--mode", "lazy", "--errno", "16"]
    result = CliRunner().invoke(command, [*args, "--min-latency", "1.5ms", "--errno", "ok"])
    assert result.exit_code == 0, result.output
    assert seen == [
        RowFilter(
            pid=(1, 2),
            comm=("a*",),
            cgroup=(7,),
            container=("c",),
            mntns=(5,),
            fstype=("tmpfs",),
            mode=("lazy",),
            min_latency_ns=1_500_000,
            errno=(16, 0),
        )
    ]
    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen[1].is_empty


def test_a_cgroup_path_is_its_inode(monkeypatch, tmp_path, out, recording):
    monkeypatch.setattr("umtrace.cli.filters._CGROUP_ROOT", tmp_path)
    (tmp_path / "a.slice").mkdir()
    inode = (tmp_path / "a.slice").stat().st_ino
    for text in ("a.slice", "/a.slice", str(tmp_path / "a.slice")):
        assert (
            f"--cgroup {inode}"
            in out("report", recording([], name=f"r{len(text)}"), "--cgroup", text)[1]
        )
