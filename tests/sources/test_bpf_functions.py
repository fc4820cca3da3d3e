"""Steps of long loops are put behind the programs that call them."""

from __future__ import annotations

import struct

from umtrace.sources.bpf.bpf_functions import STEPS, with_steps

EXIT = struct.pack("=BBhi", 0x95, 0, 0, 0)
(FIRST, SECOND, *_) = STEPS


def instruction(code, registers=0, imm=0):
    return struct.pack("=BBhi", code, registers, 0, imm)


def address_of(step):
    return instruction(0x18, 4 << 4 | 2, step) + instruction(0)


def code_of(step):
    """A step of two instructions; the first one tells it from others."""
    return instruction(0xB7, 0, len(step)) + EXIT


def test_a_program_without_steps_stays_as_it_is():
    number = instruction(0x18, 2, FIRST) + instruction(
        0
    )  # no address, though it is the same number
    code = instruction(0xB7) + number + EXIT
    assert with_steps(code, code_of) == (code, None)


def test_each_step_is_there_once_and_each_address_points_at_it():
    code = instruction(0xB7) + address_of(FIRST) + address_of(SECOND) + address_of(FIRST) + EXIT
    whole, functions = with_steps(code, code_of)
    assert whole[len(code) :] == code_of(STEPS[FIRST]) + code_of(STEPS[SECOND])
    targets = []
    for at in (1, 3, 5):
        (relative,) = struct.unpack_from("=i", whole, 8 * at + 4)
        targets.append(at + relative + 1)
    end = len(code) // 8
    assert targets == [end, end + 2, end]
    assert functions is not None
    places = list(struct.iter_unpack("=II", functions.places))
    assert [at for at, _type in places] == [0, end, end + 2]
    assert len({type_id for _at, type_id in places[1:]}) == 1 != places[0][1]
