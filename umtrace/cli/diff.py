"""`umtrace diff`: two recordings side by side."""

from __future__ import annotations

import sys

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.options import examples
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

_EPILOG = examples("umtrace diff before.umt after.umt --by fstype --mode sync")


@click.command(epilog=_EPILOG)
@click.argument("a", type=RecordingPath())
@click.argument("b", type=RecordingPath())
@by_option("Compare by group of these columns, or none.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@filter_options
def command(a: str, b: str, by: str, as_json: bool, row_filter: RowFilter) -> int:
    """Compare two recordings: which phases are slower or faster in B than in A.

    Each ratio of quantiles has an interval. The verdict "slower" or "faster" appears only if the
    interval excludes 1. `umtrace report --help` lists the values of KEY.
    """
    from umtrace.present.diff import DiffPage, diff_dict, diff_text
    from umtrace.present.escaped import to_json
    from umtrace.present.heading import heading_of
    from umtrace.present.terminal import complain, width_of, write
    from umtrace.query.comparability import warnings
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording
    from umtrace.stats.compare import compare

    opened = Recording.open(a), Recording.open(b)
    chosen = [Selection(recording, row_filter) for recording in opened]
    unknown = [selection.unknown() for selection in chosen]
    first, second = (selection.summary(key_list(by)) for selection in chosen)
    page = DiffPage(
        comparison=compare(first, second),
        a=heading_of(opened[0], row_filter.describe(), unknown[0]),
        b=heading_of(opened[1], row_filter.describe(), unknown[1]),
        warnings=warnings(*opened, first, second),
    )
    if as_json:
        complain(problem for recording in opened for problem in recording.problems)
        write(to_json(diff_dict(page)), sys.stdout)
    else:
        write(diff_text(page, width_of(sys.stdout)), sys.stdout)
    return read_status(*opened)
