"""`umtrace fleet html`: a fleet as one page."""

from __future__ import annotations

from pathlib import Path

import click

from umtrace.cli.complete import fleet_keys, several_of
from umtrace.cli.filters import key_list
from umtrace.cli.fleet_options import FleetOptions, fleet_options, host_list
from umtrace.cli.options import examples
from umtrace.cli.pictures import import_matplotlib

_EPILOG = examples("umtrace fleet html summaries -o fleet.html")


@click.command("html", epilog=_EPILOG)
@click.argument("folders", metavar="DIR|URL…", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, metavar="FILE",
    help="Write to FILE, mode 0600; - is standard output.",
)  # fmt: skip
@click.option(
    "--by",
    shell_complete=several_of(fleet_keys),
    default="kernel",
    show_default=True,
    metavar="KEY,…",
    help="Group by these keys, or none.",
)
@click.option(
    "--expect", metavar="FILE", help="Name the hosts of FILE, one a line, that are missing."
)
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists.")
@fleet_options
def command(
    folders: tuple[str, ...],
    output: str,
    by: str,
    expect: str | None,
    force: bool,
    fleet: FleetOptions,
) -> int:
    """Write the hosts in DIR|URL as one self-contained HTML page.

    The page has what `umtrace fleet report` prints, and plots.
    """
    from umtrace.cli.export import destination

    import_matplotlib()
    from umtrace.fleet.report import RESAMPLED, FleetReport
    from umtrace.model.whole_file import check_replaceable
    from umtrace.page.fleet import fleet_page

    if output != "-":
        check_replaceable(Path(output), force=force)
    query = fleet.query(by=tuple(key_list(by)), resample=RESAMPLED, owners=True)
    part = fleet.run(folders, query)
    report = FleetReport(part, query, " ".join(folders), host_list(expect))
    with destination(output, force=force) as file:
        file.write(fleet_page(report).encode())
    return report.status
