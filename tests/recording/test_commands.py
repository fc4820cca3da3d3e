from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from tests.recording import samples
from umtrace.cli.main import run


@pytest.fixture
def recording(tmp_path):
    return str(samples.write(tmp_path / "r", count=20))


def test_export_csv(recording, capfdbinary):
    assert run(["export", recording, "--columns", "id,t_start,path,errno"]) == 0
    lines = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert lines[0] == ["id", "t_start", "path", "errno"]
    assert lines[1] == ["0", "2023-11-14T22:13:20.000000000Z", "", "16"]
    assert lines[3] == ["2", "2023-11-14T22:13:20.000000002Z", "/mnt/ü 2", "0"]
    assert len(lines) == 21


def test_export_jsonl(recording, tmp_path):
    assert run(["export", recording, "--to", "jsonl", "-o", str(tmp_path / "out")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert len(lines) == 20
    assert lines[1]["t_start"] == "2023-11-14T22:13:20.000000001Z"
    assert lines[1]["path"] == "/mnt/ü 1"
    assert lines[0]["path"] is None


def test_export_filters_as_every_command_does(recording, capfdbinary):
    given = ["export", recording, "--errno", "EBUSY", "--columns", "id,path"]
    assert run(given) == 0
    lines = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode())))
    errnos = {n: "EBUSY" for n in range(20) if samples.rows(n, 1)["errno"][0].as_py() == 16}
    assert lines[0] == ["id", "path"]
    assert [int(line[0]) for line in lines[1:]] == list(errnos)
    assert 0 < len(errnos) < 20


def test_export_never_overwrites_unasked(recording, tmp_path, capfd):
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert run(["export", recording, "-o", str(out)]) == 2
    assert "exists already; use --force" in capfd.readouterr().err
    assert out.read_text() == "mine"
    assert run(["export", recording, "-o", str(out), "--force"]) == 0
    assert out.read_text().startswith("id,t_start")
    assert run(["export", recording, "-o", str(tmp_path)]) == 2


def test_a_failed_export_leaves_nothing(recording, tmp_path, monkeypatch):
    from umtrace.present import rows

    def full(out, schema, batches):
        out.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows, "write_csv", full)
    assert run(["export", recording, "-o", str(tmp_path / "out.csv")]) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]


def test_export_names_what_it_could_not_read(recording, tmp_path, capfd):
    (tmp_path / "r/umounts-00001.parquet").write_bytes(b"x")
    assert run(["export", recording]) == 5
    assert "umtrace: warning: umounts-00001.parquet: damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing"], 2, "no such recording"),
        (["r", "--columns", "id,nope"], 2, "no column 'nope'"),
        (["."], 5, "not a recording"),
        (["r", "-o", "no/such/out"], 2, "no such directory; create it first"),
    ],
)
def test_export_errors_are_one_line(
    recording, tmp_path, monkeypatch, capfd, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    assert run(["export", *arguments]) == code
    text = capfd.readouterr().err
    assert message in text
    assert text.count("\n") == 1


def test_a_closed_pipe_is_no_error(tmp_path):
    path = samples.write(tmp_path / "r", count=5000, per_batch=5000)
    code = "from umtrace.cli import main; main()"
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" export "$2" | head -n 1', sys.executable, code, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("id,")
    assert done.stderr == ""


def test_repair_says_what_it_did(tmp_path, capfd):
    path = samples.cut_short(tmp_path / "r", count=20)
    stream = path / "umounts-00001.arrows"
    stream.write_bytes(stream.read_bytes()[:-9])
    assert run(["repair", str(path)]) == 0
    text = capfd.readouterr().out
    assert "repaired, 50 rows saved from open chunks" in text
    assert "umounts-00001.arrows: cut short: 10 rows kept" in text
    assert run(["repair", str(path)]) == 0
    assert "nothing to repair" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["export", "repair"])
def test_help_has_an_example(name, capfd):
    assert run([name, "--help"]) == 0
    assert f"umtrace {name} rec.umt" in capfd.readouterr().out
