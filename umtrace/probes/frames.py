"""Kernel stacks as addresses: which of the known functions are on each.

It has the same rule as ``probes.stacks.on_stack`` and ``bpf/frames.h``, for many stacks at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from umtrace.kernel.symbols import Symbols
from umtrace.model.events import OnStack
from umtrace.probes.stacks import BITS, FUNCTIONS, LOCK_TAKERS, LOCKS

_U8 = npt.NDArray[np.uint64]


class FrameTable:
    """The address ranges of the functions that show what an umount waits for."""

    def __init__(self, symbols: Symbols) -> None:
        spans = []
        for name, candidates in FUNCTIONS.items():
            found = (symbols.span(candidate) for candidate in candidates)
            spans += [(*span, name) for span in found if span]
        spans.sort()
        names = ["", *(name for _start, _end, name in spans)]
        # The first range is empty, for addresses in none of the functions.
        self._starts = np.array([0, *(start for start, _end, _name in spans)], np.uint64)
        self._ends = np.array([0, *(end for _start, end, _name in spans)], np.uint64)
        self._bits = np.array([int(BITS.get(name, 0)) for name in names], np.uint64)
        self._locks = np.array([name in LOCKS for name in names])
        self._takers = np.array([name in LOCK_TAKERS for name in names])

    @property
    def known(self) -> bool:
        """Whether the address of any function is known."""
        return len(self._starts) > 1

    def on_stack(self, frames: _U8) -> _U8:
        """Return the bits of ``model.events.OnStack`` for each stack.

        Parameters
        ----------
        frames : ndarray of uint64, shape (n, depth)
            Return addresses, innermost first; filled up with 0.
        """
        index = np.searchsorted(self._starts, frames, side="right") - 1
        index[frames >= self._ends[index]] = 0
        found: _U8 = np.bitwise_or.reduce(self._bits[index], axis=1)
        taken = self._locks[index[:, :-1]] & self._takers[index[:, 1:]]
        found[taken.any(axis=1)] |= np.uint64(OnStack.LOCK_TAKER)
        return found
