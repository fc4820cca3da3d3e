"""Every `-` in a table has its reason in the same view."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.present.screens import screen
from tests.present.test_screens import MADE

_TOP = Path(__file__).parents[2]
_BUNDLED = ("first-look", "lab-6.12", "lab-6.12-rt", "lab-ebusy", "propagation", "storm")
_COMMANDS = (
    "report",
    "report --full",
    "report --full --by container",
    "report --full --by final_put --by mode",
    "report --full --errno EBUSY",
    "report --full --mode lazy",
    "ebusy",
    "ebusy --evidence",
    "teardowns",
    "hist",
    "whatif",
)
#: alone between two columns, or at an end of the line
_CELL = re.compile(r"^-(?=$|  )|(?:  |[\d%sB] )-(?=$|  | [\d-])")
#: `mode -: …`, `-: unknown`, `- of D: …`, `“-”: …`, or a fact of an EBUSY window
_REASON = re.compile(r"(?:^|\s)[“\"]?-[”\"]?(?: of [\w, ]+)?: |[“\"]-[”\"] is|is not known: ")


def dashes(text):
    return [line for line in text.splitlines() if _CELL.search(line) and not _REASON.search(line)]


def has_reason(text):
    return any(_REASON.search(line) for line in text.splitlines())


def check(words):
    out, err, status = screen(words, 80)
    assert status in {0, 2}, (words, err)  # 2: a filter that this tier cannot decide
    if dashes(out):
        assert has_reason(out), out
    return out


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize("name", _BUNDLED)
def test_of_a_recording(name, command):
    first, *rest = command.split()
    check([first, _TOP / f"recordings/{name}.umt", *rest])


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize("name", MADE)
def test_of_unusual_rows(recording, name, command):
    first, *rest = command.split()
    check([first, recording(MADE[name]), *rest])


@pytest.mark.parametrize("name", _BUNDLED)
def test_of_two_recordings(name):
    check(["diff", _TOP / "recordings/first-look.umt", _TOP / f"recordings/{name}.umt"])


@pytest.mark.parametrize("name", ["first-look", "lab-ebusy"])
def test_of_rows_one_by_one(name):
    check(["trace", "--replay", _TOP / f"recordings/{name}.umt"])


@pytest.mark.parametrize(("name", "number"), [("first-look", 1), ("lab-ebusy", 25)])
def test_of_one_window(name, number):
    assert dashes(check(["ebusy", _TOP / f"recordings/{name}.umt", number]))


def test_of_many_hosts():
    check(["fleet", "report", *(_TOP / f"recordings/{name}.umt" for name in _BUNDLED)])


def test_a_cell_is_found_and_its_reason():
    for line in ("-     1  2 ms", "lazy  1  -", "A  300 µs   -   20", "1  12.8 ms      -"):
        assert dashes(line) == [line]
    for line in ("- 649 ms after it", "mode - 15; p50", "mode -: no umount(2)", "a-b", "-q  --all"):
        assert dashes(line) == []
    assert not has_reason("umounts: 211; p50 - ms")


@pytest.mark.parametrize("name", MADE)
def test_of_a_survey(recording, name):
    """It goes into a mail, without what stderr says: it has words for what is unknown."""
    out, err, status = screen(["survey", "--replay", recording(MADE[name])], 80)
    assert (status, dashes(out)) == (0, []), err
    assert not re.search(r"(?:^|\s)-(?:$|[\s,])", out)


def test_of_many_surveys(tmp_path):
    files = []
    for name in _BUNDLED:
        files.append(tmp_path / name)
        files[-1].write_text(check(["survey", "--replay", _TOP / f"recordings/{name}.umt"]))
    assert dashes(check(["survey", "--merge", *files]))


def test_of_what_a_command_asks_of_this_host(tmp_path):
    for words in (["doctor"], ["doctor", "--full"], ["stuck"], ["why", tmp_path]):
        out, err, status = screen(words, 80)
        assert status != 2, err
        assert has_reason(out + err) or not dashes(out), out
