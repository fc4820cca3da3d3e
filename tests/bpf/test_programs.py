"""Every program of bpf/ is attached, and everything that is attached is a program of bpf/."""

from __future__ import annotations

import re
from pathlib import Path

from umtrace.probes.purposes import PURPOSES
from umtrace.sources.bpf import tracepoints
from umtrace.sources.bpf.text import program_text

SIDES = {"ENTRY": {False}, "HOT_ENTRY": {False}, "COUNT_ENTRY": {False}, "RETURN": {True}}
SIDES["HOT_RETURN"] = SIDES["RETURN"]
TEXT = re.sub(r"/\*.*?\*/", "", program_text(), flags=re.S)


def handlers():
    """The functions with a handler, and on which sides."""
    found = {}
    for how, function in re.findall(r"^UM_(\w+)\((\w+)\)$", TEXT, re.M):
        found.setdefault(function, set()).update(SIDES[how])
    return found


def wanted():
    found = {}
    for candidate in (c for purpose in PURPOSES for c in purpose.candidates):
        entry = candidate.entry or candidate.kprobe_entry
        sides = {side for side, on in ((False, entry), (True, candidate.on_return)) if on}
        found.setdefault(candidate.function, set()).update(sides)
    return found


def test_each_handler_of_a_function_has_a_purpose_and_each_purpose_a_handler():
    assert handlers() == wanted()


def test_each_program_of_a_tracepoint_is_attached():
    programs = set(re.findall(r"^int (um_\w+)\(", TEXT, re.M))
    assert len(programs) >= 5
    named = re.findall(r'"(um_\w+)"', Path(tracepoints.__file__).read_text())
    assert programs == set(named)
