"""`umtrace whatif`: a recorded load under other designs of the put."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.options import as_one, examples
from umtrace.cli.status import read_status
from umtrace.model.errors import UsageError
from umtrace.stats.filters import parse_duration

if TYPE_CHECKING:
    from umtrace.recording import Recording
    from umtrace.whatif.answers import WhatIf

_HZ = 250
_NS_PER_S = 1_000_000_000
_EPILOG = examples(
    "umtrace whatif rec.umt",
    "umtrace whatif rec.umt --designs B,D --normal-gp 15ms",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a recording does not say."""

    lengths: str | None
    hz: int | None
    open_loop: bool
    seed: int

    @property
    def texts(self) -> list[str]:
        """What the screen says of them."""
        given = f"assumed: normal grace periods of {self.lengths}"
        return [
            *([given] if self.lengths is not None else []),
            *([f"assumed: {_HZ} timer ticks a second (--hz)"] if self.hz is None else []),
        ]


_assumptions = as_one(
    "assume",
    Assumptions,
    click.option(
        "--normal-gp",
        "lengths",
        metavar="TIME,…",
        help="Assume these lengths of normal grace periods, such as 15ms or 12ms,15ms,22ms, "
        "instead of those that the recording shows.",
    ),
    click.option(
        "--hz",
        type=click.IntRange(24, 10_000),
        metavar="N",
        help=f"Timer ticks a second on the recorded host.  [default: {_HZ}]",
    ),
    click.option(
        "--open-loop",
        is_flag=True,
        help="Let each umount begin when it was recorded, not when its task has returned from the "
        "previous one.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the simulation."),
)


@click.command("whatif", epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath())
@click.option(
    "--designs",
    default="A,B,B2,C,D",
    show_default=True,
    metavar="LIST",
    help="Simulate these; A, which is the kernel today, always.",
)
@_assumptions
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(recording: str, designs: str, assume: Assumptions, *, as_json: bool) -> int:
    """Simulate the umounts of the recording DIR under other designs of namespace_unlock().

    Whether the wait for an RCU grace period may be deferred or left out has been argued since April
    2025. This shows for a recorded load what callers would wait, and when file systems would be
    shut down. docs/whatif.md explains the designs and what the simulation does not know.
    """
    from umtrace.present.escaped import to_json
    from umtrace.present.terminal import complain
    from umtrace.recording import Recording
    from umtrace.whatif.text import as_dict, lines

    chosen = _designs(designs)
    opened = Recording.open(recording)
    found = _found(opened, chosen, assume)
    sys.stdout.write(to_json(as_dict(found)) if as_json else "\n".join(lines(found)) + "\n")
    complain(opened.problems)
    return read_status(opened)


def _found(recording: Recording, designs: list[str], assume: Assumptions) -> WhatIf:
    import numpy as np

    from umtrace.query.selection import Selection
    from umtrace.whatif.answers import what_if
    from umtrace.whatif.load import COLUMNS, load_of

    given = assume.lengths
    return what_if(
        load_of(Selection(recording).batches(COLUMNS)),
        designs,
        lengths=None if given is None else np.array(_lengths(given), np.int64),
        jiffy_ns=_NS_PER_S // (assume.hz or _HZ),
        closed=not assume.open_loop,
        seed=assume.seed,
        assumed=assume.texts,
    )


def _designs(text: str) -> list[str]:
    from umtrace.whatif.designs import DESIGNS

    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in DESIGNS:
            raise UsageError(f"no design '{name}'; choose from {', '.join(DESIGNS)}")
    return names


def _lengths(text: str) -> list[int]:
    found = [parse_duration(each) for each in text.split(",")]
    if min(found) <= 0:
        raise UsageError("--normal-gp: a grace period takes time; give such as 15ms")
    return found
