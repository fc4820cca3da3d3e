"""`umtrace html`: a recording as one page."""

from __future__ import annotations

from pathlib import Path

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.options import examples
from umtrace.cli.pictures import import_matplotlib, picture_options
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

_EPILOG = examples("umtrace html rec.umt -o rec.html")


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Write to FILE, mode 0600; - is standard output.",
)
@by_option("Group by these columns, or none.")
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists.")
@picture_options
@filter_options
def command(
    recording: str,
    output: str,
    by: str,
    force: bool,
    size: tuple[float, float] | None,
    dpi: int | None,
    row_filter: RowFilter,
) -> int:
    """Write the recording DIR as one self-contained HTML page, to attach to a mail or an issue.

    The page has the summary, plots, the slowest umounts, the EBUSY windows with their evidence,
    the losses and the probe plan. `umtrace report --help` lists the values of KEY.
    """
    from umtrace.cli.export import destination

    import_matplotlib()
    from umtrace.model.whole_file import check_replaceable
    from umtrace.page import page_of
    from umtrace.present.terminal import say_written
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

    if output != "-":
        check_replaceable(Path(output), force=force)
    opened = Recording.open(recording)
    with destination(output, force=force) as file:
        page = page_of(Selection(opened, row_filter), key_list(by), size=size, dpi=dpi)
        file.write(page.encode())
    say_written(output)
    return read_status(opened)
