"""Every program of bpf/ is attached, and everything that is attached is a program of bpf/."""

from __future__ import annotations

import re

import pytest

from umtrace.probes.capabilities import Capabilities
from umtrace.probes.plan import make_plan
from umtrace.probes.purposes import PURPOSES
from umtrace.sources.bpf.births import attach_births
from umtrace.sources.bpf.bpf_functions import STEPS
from umtrace.sources.bpf.text import program_text
from umtrace.sources.bpf.tracepoints import Tracepoints

SIDES = {"ENTRY": {False}, "HOT_ENTRY": {False}, "COUNT_ENTRY": {False}, "RETURN": {True}}
SIDES["HOT_RETURN"] = SIDES["RETURN"]
TEXT = re.sub(r"/\*.*?\*/", "", program_text(), flags=re.S)


def handlers():
    """The functions with a handler, and on which sides."""
    found = {}
    for how, function in re.findall(r"^UM_(?!STEP)(\w+)\((\w+)\)$", TEXT, re.M):
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


def test_each_step_of_a_long_loop_has_its_number():
    steps = {f"um_step_{name}" for name in re.findall(r"^UM_STEP\((\w+)\)$", TEXT, re.M)}
    assert steps == set(STEPS.values())
    numbers = dict(re.findall(r"^#define UM_STEP_(\w+) (\d+)$", TEXT, re.M))
    assert {int(n): f"um_step_{name.lower()}" for name, n in numbers.items()} == STEPS


class Loaded:
    """Takes what is attached, by tracepoint; an event's number is its name."""

    def __init__(self):
        self.programs = {}

    def attach_raw(self, tracepoint, program):
        self.programs[tracepoint] = program

    def attach_event(self, event, program, _kind):
        self.programs[event.partition(":")[2]] = program

    @staticmethod
    def event_id(event):
        return event

    @staticmethod
    def field_offsets(_event):
        return {"root": 8, "level": 12, "id": 16, "path": 24}


@pytest.mark.parametrize("raw_switches", [True, False])
def test_each_program_of_a_tracepoint_is_attached_and_in_the_plan(raw_switches):
    loaded, offer = Loaded(), Capabilities()
    attached = Tracepoints(
        loaded=loaded,
        tracefs=loaded,
        offer=offer,
        plan=make_plan(offer, ""),
        raw_switches=raw_switches,
        ends_missed=lambda: 0,
    )
    attached.attach()
    programs = set(re.findall(r"^int (um_\w+)\(", TEXT, re.M))
    assert len(programs) >= 5
    # The fork of a recorded command is attached when there is a command, that of holders has none.
    assert set(loaded.programs.values()) == programs - {"um_fork", "um_holders"}
    said = " ".join(line.probe for line in attached.lines)
    assert [name for name in loaded.programs if name not in said] == []


@pytest.mark.parametrize("fields", [{}, {"root": 8, "level": 12, "id": 16}])
def test_births_of_cgroups_without_a_field_are_lost_and_said_so(fields):
    loaded = Loaded()
    loaded.field_offsets = lambda _event: fields
    line = attach_births(loaded, loaded)
    assert (line.state, loaded.programs) == ("lost", {})
    assert "owners whose cgroups are gone" in line.reason
