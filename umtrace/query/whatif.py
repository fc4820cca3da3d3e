"""A recording's umounts under other designs: what is assumed, and the simulation of a selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from umtrace.model.errors import UsageError
from umtrace.query.claims import recorded_claims
from umtrace.query.normal_gp import measured, recorded_hz
from umtrace.query.selection import Selection
from umtrace.query.whose import READ, whose
from umtrace.stats.filters import parse_duration
from umtrace.whatif.answers import WhatIf
from umtrace.whatif.designs import DESIGNS, HZ, LEAST_HZ, MOST_HZ
from umtrace.whatif.load import load_of
from umtrace.whatif.predict import what_if

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a recording does not say.

    Attributes
    ----------
    normal_gp : sequence of str
        Lengths of normal grace periods, such as ``15ms``; empty takes what the recording shows.
    hz : int, optional
        Timer ticks a second on the recorded host; if None that of the recording, else `HZ`.
    open_loop : bool
        Umounts begin when they were recorded, not when their task has returned from the previous
        one.
    seed : int
        Of the simulation.
    """

    normal_gp: Sequence[str] = ()
    hz: int | None = None
    open_loop: bool = False
    seed: int = 0

    @property
    def lengths_ns(self) -> list[int]:
        """The lengths in ns; UsageError where one is no duration."""
        found = [parse_duration(each) for each in self.normal_gp]
        if found and min(found) <= 0:
            raise UsageError("a normal grace period takes time; give such as 15ms")
        return found

    @property
    def jiffy_ns(self) -> int:
        """The length of a timer tick; UsageError where no kernel has so many."""
        hz = HZ if self.hz is None else self.hz
        if not LEAST_HZ <= hz <= MOST_HZ:
            raise UsageError(
                f"{hz} timer ticks a second: from {LEAST_HZ} to {MOST_HZ} are possible"
            )
        return _NS_PER_S // hz

    @property
    def texts(self) -> list[str]:
        """Each assumption as a line."""
        given = f"assumed: normal grace periods of {', '.join(self.normal_gp)}"
        return [
            *([given] if self.normal_gp else []),
            *([f"assumed: {HZ} timer ticks a second (--hz)"] if self.hz is None else []),
        ]


def simulated(
    selection: Selection,
    designs: str | Sequence[str] = tuple(DESIGNS),
    assume: Assumptions | None = None,
) -> WhatIf:
    """Return what the selected umounts would do under some designs, and under A.

    What the selection leaves out is not in the simulation. All its rows are in memory at once, some
    1.3 kB for each.

    Raises
    ------
    UsageError
        There is no such design, or something impossible is assumed.
    """
    given = assume or Assumptions()
    if given.seed < 0:
        raise UsageError(f"seed {given.seed}: give 0 or more")
    if given.hz is None and (hz := recorded_hz(selection.recording.meta)) is not None:
        given = replace(given, hz=hz)
    lengths, beside = given.lengths_ns, measured(selection.recording.meta)
    return what_if(
        load_of(selection.batches(READ), columns=READ, whose=whose),
        design_names(designs),
        lengths=np.array(lengths, np.int64) if lengths else None,
        measured=np.array(beside.lengths_ns, np.int64),
        unmeasured=beside.why,
        jiffy_ns=given.jiffy_ns,
        closed=not given.open_loop,
        seed=given.seed,
        assumed=given.texts,
        claims=recorded_claims(selection),
    )


def design_names(designs: str | Sequence[str]) -> list[str]:
    """Return the names in a list such as ``B,D``, in capitals; UsageError for another one."""
    given = designs.split(",") if isinstance(designs, str) else designs
    names = [name.strip().upper() for name in given if name.strip()]
    for name in names:
        if name not in DESIGNS:
            raise UsageError(f"no design '{name:.40}'; choose from {', '.join(DESIGNS)}")
    return names
