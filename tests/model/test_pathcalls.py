"""The system calls that only walk a path, as the programs are given them."""

from __future__ import annotations

from umtrace.model.pathcalls import OPEN_CALLS, PATH_CALLS, words


def test_words_hold_the_calls_and_no_others():
    held = {64 * n + bit for n, word in enumerate(words()) for bit in range(64) if word >> bit & 1}
    assert held == set(PATH_CALLS)
    assert held > OPEN_CALLS
