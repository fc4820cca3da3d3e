"""Points in time have two names in the JSON of every command: ISO 8601 in UTC, and ns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from umtrace.cli.main import run

_TOP = Path(__file__).parents[2]
_TIMES = {"begin", "end", "over", "start", "t_start"}
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z")
_COMMANDS = (
    "report --json",
    "report --json --by comm",
    "hist --json",
    "ebusy --json",
    "ebusy 1 --json",
    "teardowns --json",
    "trace --json --teardowns --replay",
    "export --to jsonl",
)


def _objects(value):
    if isinstance(value, dict):
        yield value
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _objects(each)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_time_is_iso_and_ns(command, capsys):
    first, *rest = command.split()
    named = ["--replay"] if "--replay" in rest else []
    rest = [each for each in rest if each not in {"--replay", "1"}]
    number = ["1"] if " 1 " in command else []
    recording = str(_TOP / "recordings/lab-ebusy.umt")
    assert run([first, *named, recording, *number, *rest]) == 0
    text = capsys.readouterr().out
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:  # lines of JSON
        whole = [json.loads(line) for line in text.splitlines()]
    _check_times(whole)


def _check_times(whole):
    found = [(each, name) for each in _objects(whole) for name in _TIMES & each.keys()]
    assert found
    for each, name in found:
        assert type(each[f"{name}_ns"]) in {int, type(None)}
        assert (each[name] is None) == (each[f"{name}_ns"] is None)
        assert each[name] is None or _ISO.fullmatch(each[name]), each[name]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_ledger_of_the_exercise_has_both():
    command = [sys.executable, "-m", "umtrace", "exercise", "--json", "--sync", "2", "--busy", "1"]
    done = subprocess.run(command, cwd=_TOP, capture_output=True, text=True, check=True)
    whole = json.loads(done.stdout)
    _check_times(whole)
    assert {"t_start", "t_start_ns"} <= whole["umounts"][0].keys() & whole["teardown"].keys()


@pytest.mark.parametrize("recording", ["storm", "lab-6.12-rt", "propagation"])
def test_times_of_whatif_are_whole_ns(recording, capsys):
    assert run(["whatif", "--json", str(_TOP / f"recordings/{recording}.umt")]) == 0
    found = [
        (name, value)
        for each in _objects(json.loads(capsys.readouterr().out))
        for name, value in each.items()
        if name == "ns" or name.endswith("_ns")
    ]
    assert len(found) > 50
    for name, value in found:
        for one in value if isinstance(value, list) else [value]:
            assert not isinstance(one, float), (name, value)  # the reason for a null is a text
