"""`umtrace plot`: a recording as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.pictures import import_matplotlib
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

_KINDS = ("hist", "cdf", "phases", "modes", "heatmap", "timeline", "mounts", "ebusy")
_EPILOG = "Example: umtrace plot rec.umt --kind phases -o phases.svg"


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=click.Path())
@click.option(
    "--kind", type=click.Choice(_KINDS), default="hist", show_default=True, help="What to draw."
)
@by_option("One series each, or none.")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="A .png, .svg or .pdf, mode 0600."
)
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it is there.")
@filter_options
def command(
    recording: str, kind: str, by: str, output: str, force: bool, row_filter: RowFilter
) -> int:
    """Draw the recording DIR.

    \b
    hist, cdf  how long umount took, and its RCU wait
    phases     where the time of a mean umount goes
    modes      median and tail of each phase, sync against lazy
    heatmap    latency over time
    timeline   umounts side by side in time, with their phases
    mounts     RCU wait against the mounts that went with one umount
    ebusy      EBUSY windows over time

    KEY is as in `umtrace report`, for the first three lines; the four largest
    groups are drawn.
    """  # noqa: D301
    import_matplotlib()
    from umtrace.analysis.figures import check_suffix, figure_of, save
    from umtrace.present.terminal import clean, complain
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording
    from umtrace.records.whole_file import check_replaceable

    check_suffix(output)
    check_replaceable(Path(output), force=force)
    opened = Recording.open(recording)
    source = " ".join([clean(str(opened.path)), row_filter.describe()]).strip()
    chosen = Selection(opened, row_filter)
    complain(chosen.unknown())
    figure = figure_of(kind, chosen, by=key_list(by), source=source)
    complain(opened.problems)
    save(figure, output, force=force)
    return read_status(opened)
