"""`umtrace fleet report`: what hosts come to."""

from __future__ import annotations

import sys

import click

from umtrace.cli.complete import fleet_keys, several_of
from umtrace.cli.filters import key_list
from umtrace.cli.fleet_options import FleetOptions, fleet_options, host_list
from umtrace.cli.options import Seconds, examples, one_format, several

_EPILOG = examples(
    "umtrace fleet report s3://bucket/summaries --expect hosts.txt --since 2026-01-05"
)


_report_options = several(
    click.option(
        "--by",
        shell_complete=several_of(fleet_keys),
        default="kernel",
        show_default=True,
        metavar="KEY,…",
        help="Group by these keys, or none: host, kernel, tier, latency_bound, mode, origin, "
        "owner.",
    ),
    click.option(
        "--expect",
        metavar="FILE",
        help="Name the hosts of FILE, one a line, that are missing or late.",
    ),
    click.option(
        "--late",
        default="2h",
        show_default=True,
        type=Seconds(),
        metavar="TIME",
        help="A host is late if its last hour is TIME before that of most.",
    ),
    click.option(
        "--format",
        "style",
        type=click.Choice(("table", "json", "csv", "markdown")),
        help="Write this format.  [default: table]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Write JSON, as --format json does."),
)


@click.command("report", epilog=_EPILOG)
@click.argument("folders", metavar="DIR|URL…", nargs=-1, required=True)
@_report_options
@fleet_options
def command(
    folders: tuple[str, ...],
    by: str,
    expect: str | None,
    late: float,
    style: str | None,
    as_json: bool,
    fleet: FleetOptions,
) -> int:
    """Print what the hosts in DIR|URL come to.

    Quantiles have the spread over hosts. Hosts far from the others, hosts that are missing, and
    files that are damaged, open, double or of a wrong clock are named.
    """
    from umtrace.fleet.report import RESAMPLED, FleetReport
    from umtrace.fleet.text import written
    from umtrace.present.terminal import width_of, write

    style = one_format(style, as_json=as_json, default="table")
    query = fleet.query(by=tuple(key_list(by)), resample=RESAMPLED, owners=True)
    report = FleetReport(
        part=fleet.run(folders, query),
        query=query,
        source=" ".join(folders),
        expected=host_list(expect),
        late_ns=int(late * 1_000_000_000),
    )
    write(written(report, style, width_of(sys.stdout)), sys.stdout)
    return report.status
