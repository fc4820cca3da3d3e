"""`umtrace fleet plot`: a fleet as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from umtrace.cli.complete import fleet_keys, several_of
from umtrace.cli.filters import key_list
from umtrace.cli.fleet_options import FleetOptions, fleet_options
from umtrace.cli.options import Output, examples
from umtrace.cli.pictures import import_matplotlib

_EPILOG = examples("umtrace fleet plot summaries --kind hosts -o hosts.svg")


@click.command("plot", epilog=_EPILOG)
@click.argument("folders", metavar="DIR|URL…", nargs=-1, required=True)
@click.option(
    "--kind",
    type=click.Choice(("hosts", "cdf", "hist", "phases")),
    default="hosts",
    show_default=True,
    help="Draw this plot.",
)
@click.option(
    "--by",
    shell_complete=several_of(fleet_keys),
    default="kernel",
    show_default=True,
    metavar="KEY,…",
    help="Draw one series per value of these keys, or none; hosts are always by kernel.",
)
@click.option(
    "-o", "--output", required=True, type=Output("a picture", as_path=False), metavar="FILE",
    help="Write to FILE.png, .svg or .pdf, mode 0600.",
)  # fmt: skip
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists.")
@fleet_options
def command(
    folders: tuple[str, ...], kind: str, by: str, output: str, force: bool, fleet: FleetOptions
) -> int:
    """Draw the hosts in DIR|URL as PNG, SVG or PDF.

    \b
    hosts      median and p99 of each host
    cdf, hist  distribution of the latency
    phases     mean time of each phase
    """  # noqa: D301
    import_matplotlib()
    from umtrace.analysis.figures import check_suffix, save
    from umtrace.analysis.style import figure_with, pinned_style
    from umtrace.fleet.figures import DRAW
    from umtrace.fleet.report import FleetReport
    from umtrace.model.whole_file import check_replaceable

    check_suffix(output)
    check_replaceable(Path(output), force=force)
    query = fleet.query(by=tuple(key_list(by)))
    report = FleetReport(fleet.run(folders, query), query, " ".join(folders))
    with pinned_style():
        figure = figure_with(DRAW[kind](report))
    save(figure, output, force=force)
    return report.status
