"""`umtrace hist`: histogram bars in the terminal."""

from __future__ import annotations

import sys

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.options import examples
from umtrace.cli.status import read_status
from umtrace.stats.bins import BINS
from umtrace.stats.filters import RowFilter

_PHASES = (
    "latency",
    "syscall",
    "lookup",
    "lock",
    "tree",
    "rcu",
    "put",
    "shutdown",
    "other",
    "lock_held",
    "tail",
)
_EPILOG = examples("umtrace hist rec.umt --phase rcu --by fstype --mode sync")


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath())
@click.option(
    "--phase",
    type=click.Choice(_PHASES),
    default="latency",
    show_default=True,
    help="Draw this phase.",
)
@by_option("Draw one histogram per value of these columns, or none.")
@click.option(
    "--bins",
    type=click.Choice(tuple(BINS)),
    default="125",
    show_default=True,
    help="Divide the time axis at 1, 2, 5, 10 … or at powers of 2.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@filter_options
def command(
    recording: str, phase: str, by: str, bins: str, as_json: bool, row_filter: RowFilter
) -> int:
    """Print a histogram of one phase of the recording DIR.

    `umtrace report --help` lists the values of KEY.
    """
    from umtrace.present.escaped import to_json
    from umtrace.present.heading import heading_of
    from umtrace.present.hist import histogram_dict, histogram_text
    from umtrace.present.terminal import width_of, write
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

    metric = f"{phase}_ns"
    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter)
    unknown = chosen.unknown()
    summary = chosen.summary(key_list(by), (metric,))
    heading = heading_of(opened, row_filter.describe(), unknown)
    if as_json:
        text = to_json(histogram_dict(summary, heading, metric, BINS[bins]))
    else:
        text = histogram_text(summary, heading, metric, BINS[bins], width_of(sys.stdout))
    write(text, sys.stdout)
    return read_status(opened)
