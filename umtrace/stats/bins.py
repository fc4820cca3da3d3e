"""Edges for drawing durations; presenters choose a set, they do not bin themselves."""

from __future__ import annotations

from itertools import chain

#: three edges per decade, 1 ns to some 150 years
EDGES_125 = tuple(chain.from_iterable((10**e, 2 * 10**e, 5 * 10**e) for e in range(19)))
#: powers of two, as kernel histograms have them; exact
EDGES_LOG2 = tuple(1 << power for power in range(63))
#: ways to cut the axis, by name
BINS = {"125": EDGES_125, "log2": EDGES_LOG2}
