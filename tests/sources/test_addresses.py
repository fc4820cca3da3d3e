"""Programs are compiled without the addresses of a boot, and loaded with them."""

from __future__ import annotations

import re
import struct

import pytest

from umtrace.sources.bpf.addresses import MARK, numbered, with_addresses
from umtrace.sources.bpf.text import bpf_directory

FIRST, SECOND = 0xFFFFFFFF81234560, 0xFFFFFFFFC0000010


def constants(first=FIRST, second=SECOND):
    return {
        "UM_FN_X": f"{second:#x}ULL,96",
        "UM_ADDR_Y": f"{first:#x}ULL",
        "UM_N": 7,
        "UM_FN_Z": "0,0",
    }


def test_the_request_is_the_same_in_each_boot():
    request, addresses = numbered(constants())
    assert request == numbered(constants(FIRST + 0x200000, SECOND + 0x200000))[0]
    assert addresses == [FIRST, SECOND]
    assert request["UM_ADDR_Y"] == "um_address(1)"
    assert request["UM_FN_X"] == "2,96"
    assert (request["UM_N"], request["UM_FN_Z"], request["UM_NUMBERED"]) == (7, "0,0", 1)


@pytest.mark.parametrize("address", [0xFFFF800008001000, 0xFFFFFFFF7FFFFFFF])
def test_an_address_that_32_bits_do_not_say_stays(address):
    """As on arm64, and in modules of x86-64."""
    given = {"UM_ADDR_Y": f"{address:#x}ULL"}
    assert numbered(given) == (given, [])


def operation(code, constant):
    return struct.pack("=BBhi", code, 1, 0, constant)


def test_the_loader_writes_each_address():
    code = operation(0x07, MARK + 2) + operation(0x17, MARK + 1)
    code = with_addresses(code, [FIRST, SECOND])
    written = [struct.unpack_from("=i", code, at + 4)[0] for at in (0, 8)]
    assert [constant % 2**64 for constant in written] == [SECOND, FIRST]  # extended by its sign


@pytest.mark.parametrize(
    "code",
    [
        operation(0x07, MARK),  # 0 is no number
        operation(0x07, MARK + 3),
        operation(0xB7, MARK + 1),  # a constant that is moved
        struct.pack("=BBhiBBhi", 0x18, 1, 0, 7, 0x07, 0, 0, MARK + 1),  # half of a wide one
    ],
)
def test_nothing_else_is_touched(code):
    assert with_addresses(code, [FIRST, SECOND]) == code


def test_the_mark_is_that_of_the_programs():
    text = (bpf_directory() / "addresses.h").read_text()
    (mark,) = re.findall(r"#define UM_MARK (\w+)", text)
    assert int(mark, 16) == MARK
