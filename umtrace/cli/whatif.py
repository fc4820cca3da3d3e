"""`umtrace whatif`: a recorded load under other designs of the put."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass

import click

from umtrace.cli.assumptions import Host, host_options
from umtrace.cli.complete import RecordingPath
from umtrace.cli.options import Count, as_one, examples
from umtrace.cli.status import read_status

_EPILOG = examples(
    "umtrace whatif rec.umt",
    "umtrace whatif rec.umt --designs B,D --normal-gp 15ms",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How the simulation runs."""

    open_loop: bool
    seed: int


_how = as_one(
    "how",
    How,
    click.option(
        "--open-loop",
        is_flag=True,
        help="Let each umount begin when it was recorded, not when its task has returned from the "
        "previous one.",
    ),
    click.option(
        "--seed",
        type=Count(0),
        default=0,
        metavar="N",
        show_default=True,
        help="Of the order in which lengths of grace periods are drawn.",
    ),
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
@host_options
@_how
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(recording: str, designs: str, host: Host, how: How, *, as_json: bool) -> int:
    """Simulate the umounts of the recording DIR under other designs of namespace_unlock().

    Whether the wait for an RCU grace period may be deferred or left out has been argued since April
    2025. This shows for a recorded load what callers would wait, and when file systems would be
    shut down. docs/whatif.md explains the designs and what the simulation does not know.
    """
    from umtrace.present.escaped import to_json
    from umtrace.present.terminal import complain
    from umtrace.present.whatif import as_dict, lines
    from umtrace.query.selection import Selection
    from umtrace.query.whatif import Assumptions, design_names, simulated
    from umtrace.recording import Recording

    names = design_names(designs)
    assume = Assumptions(**asdict(host), **asdict(how))
    opened = Recording.open(recording)
    found = simulated(Selection(opened), names, assume)
    sys.stdout.write(to_json(as_dict(found)) if as_json else "\n".join(lines(found)) + "\n")
    complain(opened.problems)
    return read_status(opened)
