"""Points in time have two names in the JSON of every command: ISO 8601 in UTC, and ns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from umtrace.cli.main import run

_TOP = Path(__file__).parents[2]
_TIMES = {"begin", "end", "start", "t_start"}
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
    found = [(each, name) for each in _objects(whole) for name in _TIMES & each.keys()]
    assert found
    for each, name in found:
        assert type(each[f"{name}_ns"]) in {int, type(None)}
        assert (each[name] is None) == (each[f"{name}_ns"] is None)
        assert each[name] is None or _ISO.fullmatch(each[name]), each[name]
