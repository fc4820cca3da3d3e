"""Stacks as addresses give what stacks as names give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from umtrace.kernel.symbols import Symbols
from umtrace.probes.frames import FrameTable
from umtrace.probes.stacks import FUNCTIONS, on_stack

NAMES = sorted({names[0] for names in FUNCTIONS.values()} | {"schedule", "do_syscall_64"})
BASE = 0xFFFFFFFF81000000
ADDRESS = {name: BASE + 0x100 * number for number, name in enumerate(NAMES)}
SYMBOLS = Symbols(list(ADDRESS.values()), NAMES)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 0xFF)), min_size=1, max_size=30))
def test_the_same_rule_for_addresses_and_names(stack):
    frames = np.zeros((2, 32), np.uint64)
    frames[0, : len(stack)] = [ADDRESS[name] + inside for name, inside in stack]
    found = FrameTable(SYMBOLS).on_stack(frames)
    assert found.tolist() == [int(on_stack([name for name, _ in stack])), 0]


def test_hidden_addresses_know_nothing():
    table = FrameTable(Symbols([], []))
    assert not table.known
    assert table.on_stack(np.full((1, 8), BASE, np.uint64)).tolist() == [0]
