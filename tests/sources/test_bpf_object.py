"""What is read of a map has room for what the kernel writes."""

from __future__ import annotations

import ctypes
import struct
from contextlib import closing

import pytest

from umtrace.sources.bpf import bpf_syscall
from umtrace.sources.bpf.bpf_object import BpfObject
from umtrace.sources.bpf.bpf_syscall import MapInfo
from umtrace.sources.bpf.compiler import Compiled

pytestmark = pytest.mark.kernel

_ARRAY = 2  # BPF_MAP_TYPE_ARRAY
WORDS = (7, 8, 9, 10, 11)
BEHIND = b"\x5a" * 256


@pytest.fixture
def behind(monkeypatch):
    """Return the memory behind each buffer that is made."""
    made = []

    def create(content, size=None):
        if isinstance(content, int):
            content, size = b"", content
        content = content.ljust(size or len(content) + 1, b"\0")
        memory = bytearray(content + BEHIND)
        made.append((memory, len(content)))
        return (ctypes.c_char * len(content)).from_buffer(memory)

    monkeypatch.setattr(ctypes, "create_string_buffer", create)
    return lambda: [bytes(memory[size:]) for memory, size in made]


@pytest.mark.parametrize("n", range(1, len(WORDS) + 1))
def test_the_first_words_of_a_value_leave_the_memory_behind_them(monkeypatch, behind, n):
    info = MapInfo(_ARRAY, 4, 4 * len(WORDS), 1, 0)
    with closing(BpfObject(Compiled({"some": (3, info)}, {}))) as loaded:
        bpf_syscall.update(loaded.map_fd("some"), 0, struct.pack("=5I", *WORDS))
        assert loaded.words("some", n) == WORDS[:n]
    assert {*behind()} == {BEHIND}
