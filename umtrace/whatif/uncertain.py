"""Intervals of the numbers of an outcome: a bootstrap over umounts and over the calibration.

Umounts of one teardown depend on each other, so whole teardowns are drawn, where there are twenty
of them; else umounts, which makes the intervals too narrow. The sum over a resample
needs only the sums over its parts: with more than a thousand, parts are put into a thousand bags
by lot, and bags are drawn. The largest value at a time is no sum, so it is bounded by simulations
with other draws of the grace periods alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.whatif.designs import Design
from umtrace.whatif.load import Load
from umtrace.whatif.peaks import Floats, contributions, peaks
from umtrace.whatif.simulate import Outcome, Simulator

Sums = Mapping[str, Floats]
Peaks = Mapping[str, int]

_BAGS = 1000
_RESAMPLES = 400
_MOST_REPLICATES = 20
_UMOUNTS = 50_000  #: that are simulated again for one design
_ENDS = (0.025, 0.975)
_LEAST_PARTS = 5
_LEAST_TEARDOWNS = 20
_LEAST_LENGTHS = 2


def replicates(load: Load, lengths: Int64 | None) -> int:
    """Return how often a load is simulated again: less often the larger it is."""
    if lengths is None or lengths.size < _LEAST_LENGTHS or not len(load):
        return 0
    return min(_UMOUNTS // len(load), _MOST_REPLICATES)


def outcomes(
    simulator: Simulator, design: Design, lengths: Int64 | None, seed: int
) -> Iterator[Outcome]:
    """Yield what becomes of the load with other lengths, drawn of those that are known."""
    if lengths is None or not design.defers:
        return
    rng = np.random.default_rng((seed, 1))
    for number in range(replicates(simulator.load, lengths)):
        drawn = rng.choice(lengths, lengths.size)
        yield simulator.run(design, lengths=drawn, seed=seed + 1 + number)


class Resampling:
    """Draws parts of one load again and again.

    Parameters
    ----------
    seed : int
        Of the draws.
    """

    def __init__(self, load: Load, seed: int) -> None:
        self.load, self._seed = load, seed
        part, self.drawn = _parts(load)
        rng = np.random.default_rng((seed, 2))
        names, codes = np.unique(part, return_inverse=True)
        self._bag = codes if names.size <= _BAGS else rng.integers(0, _BAGS, names.size)[codes]
        self._size = min(int(names.size), _BAGS)

    def intervals(
        self, sums: Sums, tops: Peaks, others: Sequence[Outcome]
    ) -> dict[str, tuple[float, float]]:
        """Return the 95 % interval of each number that has one.

        Parameters
        ----------
        sums, tops : mapping
            What `contributions` and `peaks` return of the outcome itself.
        others : sequence of Outcome
            Of simulations with other draws; may be empty.
        """
        found: dict[str, tuple[float, float]] = {}
        if self._size >= _LEAST_PARTS:
            each = [sums, *(contributions(self.load, one) for one in others)]
            rng = np.random.default_rng((self._seed, 3))
            for name in sums:
                drawn = self._drawn([one[name] for one in each], rng)
                low, high = _ends(drawn, float(sums[name].sum()))
                if low < high:  # draws of what is the same everywhere show no uncertainty
                    found[name] = low, high
        if others:
            more = [peaks(self.load, one) for one in others]
            for name, value in tops.items():
                values = np.array([value, *(one[name] for one in more)], np.float64)
                found[name] = _ends([values], float(value))
        return found

    def _drawn(self, sums: Sequence[Floats], rng: np.random.Generator) -> list[Floats]:
        """Return sums of resamples, as many of each simulation."""
        size, many = self._size, -(-_RESAMPLES // len(sums))
        of_bags = [np.bincount(self._bag, one, minlength=size).astype(np.float64) for one in sums]
        weights = rng.multinomial(size, np.full(size, 1 / size), many)
        return [weights @ one for one in of_bags]


def _parts(load: Load) -> tuple[Int64, str]:
    """Return the part of each umount that is drawn as a whole, and what these parts are."""
    single = load.teardown < 0
    if np.unique(load.teardown[~single]).size < _LEAST_TEARDOWNS:
        return np.arange(len(load)), "umounts"
    first = int(load.teardown.max()) + 1
    return np.where(single, first + np.cumsum(single), load.teardown), "teardowns"


def _ends(values: Sequence[Floats], of: float) -> tuple[float, float]:
    low, high = np.quantile(np.concatenate(values), _ENDS).tolist()
    return min(float(low), of), max(float(high), of)
