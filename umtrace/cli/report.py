"""`umtrace report`: the summary of a recording."""

from __future__ import annotations

import sys

import click

from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

_FORMATS = ("table", "json", "csv", "markdown")
_EPILOG = "Example: umtrace report rec.umt --by fstype,mode --min-latency 1ms"


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=click.Path())
@by_option("Group by these columns, or none.")
@click.option(
    "--format",
    "style",
    type=click.Choice(_FORMATS),
    help="What to write; csv has the groups alone.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@filter_options
def command(
    recording: str, by: str, style: str | None, as_json: bool, row_filter: RowFilter
) -> int:
    """Summarise the recording DIR: outcomes, latency and phase quantiles, the share of RCU.

    KEY is one or more of mode, fstype, container, comm, origin, errno, tier, final_put,
    rcu_kind, mntns.
    """
    from umtrace.present import structured
    from umtrace.present.ebusy import section_lines
    from umtrace.present.heading import heading_of
    from umtrace.present.report import report_text
    from umtrace.present.terminal import complain, width_of, write
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording
    from umtrace.reported import report_of

    if as_json and style not in {None, "json"}:
        raise click.UsageError(f"--json and --format {style} contradict each other: give one")
    style = "json" if as_json else style or "table"
    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter)
    unknown = chosen.unknown()
    found = report_of(chosen, key_list(by))
    summary, heading = found.summary, heading_of(opened, row_filter.describe(), unknown)
    if style == "json":
        ebusy = {"windows": found.windows.rows(), "counters": found.counters.to_dict()}
        text = structured.to_json({**structured.report_dict(summary, heading), "ebusy": ebusy})
    elif style == "csv":
        complain(heading.problems)
        text = structured.report_csv(summary)
    elif style == "markdown":
        text = structured.report_markdown(summary, heading, found.windows.rows())
    else:
        more = section_lines(found.windows, found.longest, found.counters)
        text = report_text(
            summary, heading, width_of(sys.stdout), list(more) if summary.total.count else []
        )
    write(text, sys.stdout)
    return read_status(opened)
