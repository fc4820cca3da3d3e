"""`umtrace whatif` on bundled recordings: one screen, JSON, and wrong options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.whatif.loads import MS, lengths, load, umount
from umtrace.cli.main import run, umtrace
from umtrace.present.whatif import lines
from umtrace.present.whatif_sentence import sentence
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.predict import what_if

RECORDINGS = Path(__file__).parents[2] / "recordings"


def _printed(*args):
    done = CliRunner().invoke(umtrace, ["whatif", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", ["storm", "lab-6.12-rt", "lab-6.12", "propagation"])
@pytest.mark.parametrize("options", [(), ("--normal-gp", "15ms,20ms", "--hz", "1000")])
def test_a_screen_of_80_columns(name, options):
    text = _printed(RECORDINGS / f"{name}.umt", *options).splitlines()
    assert max(map(len, text)) <= 80
    assert len(text) <= 42


def test_the_sentence_names_what_each_design_changes():
    rows = [
        umount(n * 100 * MS, tid=n, rcu=MS, lookup=10_000, n_held=int(n == 3), mode=mode)
        for n, mode in enumerate(["lazy", "sync"] * 50)
    ]
    found = what_if(load(*rows), list(DESIGNS), lengths=lengths(15 * MS), jiffy_ns=4 * MS)
    said = sentence(found)
    assert "D would need 1 of 100 waits for a grace period (1.0 %; 95 %: 0 %" in said
    assert "101.0 x sooner under B (median 10.0 µs instead of 1.01 ms)" in said
    assert "C would let 50 sync umounts return" in said
    assert "nobody else held a victim of 99 of 100" in " ".join(lines(found))


def test_the_screen_names_who_still_waits_and_what_is_put_later():
    rows = [
        umount(n * MS, tid=n, rcu=MS, mode="lazy", shutdown=MS, n_held=n % 2, fstype="ext4")
        for n in range(8)
    ]
    found = what_if(load(*rows), list(DESIGNS), lengths=lengths(15 * MS), jiffy_ns=4 * MS)
    text = "\n".join(lines(found))
    assert "D still waits: by owner - 4; by file system ext4 4" in text
    later = [line.split() for line in text.splitlines() if line.startswith("B2 ")][-1]
    assert later == ["B2", "8", "7", "30.0", "ms", "1.00", "ms", "0", "0", "ns", "8"]
    assert "but 6 shutdowns would have waited for those of others, up to 6.00 ms" in sentence(found)


def test_nothing_recorded_is_no_sentence():
    found = what_if(load(), list(DESIGNS), jiffy_ns=4 * MS)
    assert sentence(found) == ""
    assert lines(found)[0] == "0 umounts"


def test_json_has_null_for_what_is_unknown():
    data = json.loads(_printed(RECORDINGS / "storm.umt", "--json"))
    by_name = {each["design"]: each for each in data["designs"]}
    assert list(by_name) == ["A", "B", "B2", "C", "D"]
    assert by_name["B"]["grace_periods"] is None
    assert by_name["D"]["waits"] is None
    assert by_name["D"]["why"]
    assert by_name["A"]["caller"]["all"][0]["ns"] > 0
    again = _printed(RECORDINGS / "storm.umt", "--json")
    assert json.loads(again) == data


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--designs", "A,E"], "no design 'E'"),
        (["--normal-gp", "often"], "no duration"),
        (["--normal-gp", "0"], "takes time"),
        (["--hz", "0"], "--hz"),
    ],
)
def test_wrong_options_are_one_line(args, complaint, capsys):
    assert run(["whatif", str(RECORDINGS / "storm.umt"), *args]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert len(error.splitlines()) == 1
