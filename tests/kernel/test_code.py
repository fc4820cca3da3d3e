"""Which functions a function of the kernel calls, read from an ELF file like /proc/kcore."""

from __future__ import annotations

import struct

import pytest

from umtrace.kernel import code
from umtrace.kernel.code import calls
from umtrace.kernel.symbols import Symbols

BASE = 0xFFFFFFFF81000000
PLACES = {"closes": 0x100, "closes.cold": 0x800, "puts": 0x200, "puts_slowly": 0x300, "end": 0x900}
CALL, JUMP, BRANCH = b"\xe8", b"\xe9", b"\x0f\x84"
OFFSET = 0x1000


@pytest.fixture(autouse=True)
def on_x86(monkeypatch):
    monkeypatch.setattr(code.platform, "machine", lambda: "x86_64")


def symbols(**places):
    found = sorted((BASE + at, name) for name, at in (places or PLACES).items())
    return Symbols([at for at, _ in found], [name for _, name in found])


def core(tmp_path, *branches, machine=62, size=0x1000):
    """Write an ELF core with one segment of code, and branches (opcode, at, to) in it."""
    text = bytearray(b"\x90" * size)
    for opcode, at, to in branches:
        end = at + len(opcode) + 4
        text[at:end] = opcode + struct.pack("<i", to - end)
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    notes = struct.pack("<IIQQQQQQ", 4, 0, 0, 0, 0, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, OFFSET, BASE, 0, size, size, 4096)
    file = tmp_path / "kcore"
    file.write_bytes((header + notes + load).ljust(OFFSET, b"\0") + bytes(text))
    return file


@pytest.mark.parametrize("opcode", [CALL, JUMP, BRANCH])
@pytest.mark.parametrize("at", [0x100, 0x1F0, 0x810])
def test_a_call_or_jump_in_any_part_of_it(tmp_path, opcode, at):
    there = core(tmp_path, (opcode, at, PLACES["puts_slowly"]))
    assert calls(symbols(), "closes", ("absent", "puts_slowly"), there) is True


@pytest.mark.parametrize(("at", "to"), [(0x250, 0x300), (0x100, 0x304)], ids=["another", "inside"])
def test_no_call(tmp_path, at, to):
    assert calls(symbols(), "closes", ("puts_slowly",), core(tmp_path, (CALL, at, to))) is False


def test_a_longer_name_is_another_function(tmp_path):
    table = symbols(closes=0x100, closes_all=0x180, puts=0x200, end=0x900)
    assert calls(table, "closes", ("puts",), core(tmp_path, (CALL, 0x180, 0x200))) is False


@pytest.mark.parametrize(
    "given",
    [{"machine": 3}, {"size": 0x40}],
    ids=["another machine", "the function in no segment"],
)
def test_a_core_that_does_not_show_it(tmp_path, given):
    assert calls(symbols(), "closes", ("puts",), core(tmp_path, **given)) is None


@pytest.mark.parametrize("size", [0, 40, 100, 0x1100])
def test_a_core_that_is_cut_off(tmp_path, size):
    there = core(tmp_path)
    there.write_bytes(there.read_bytes()[:size])
    assert calls(symbols(), "closes", ("puts",), there) is None


def test_what_is_not_there(tmp_path):
    assert calls(symbols(), "closes", ("puts",), tmp_path / "none") is None
    assert calls(symbols(), "closes", ("absent",), core(tmp_path)) is None
    assert calls(symbols(), "absent", ("puts",), core(tmp_path)) is None
    assert calls(Symbols([], []), "closes", ("puts",), core(tmp_path)) is None


def test_another_architecture(tmp_path, monkeypatch):
    monkeypatch.setattr(code.platform, "machine", lambda: "aarch64")
    assert calls(symbols(), "closes", ("puts",), core(tmp_path)) is None
