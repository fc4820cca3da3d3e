"""`umtrace plot`: a recording as a picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.assumptions import Host, host_options
from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import by_option, filter_options, key_list
from umtrace.cli.options import Output, examples, given, several
from umtrace.cli.pictures import import_matplotlib, picture_options
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording

_KINDS = ("hist", "cdf", "phases", "modes", "heatmap", "timeline", "mounts", "ebusy", "whatif")
_BY = ("hist", "cdf", "phases")  #: kinds that draw groups
_EPILOG = examples("umtrace plot rec.umt --kind phases -o phases.svg")


def _prepare(ctx: click.Context, kind: str, output: str, *, force: bool) -> None:
    if kind not in _BY and given(ctx, "by"):
        raise click.UsageError(f"--by is for {', '.join(_BY)}; --kind {kind} draws no groups")
    for name in ("normal_gp", "hz"):
        if kind != "whatif" and given(ctx, name):
            raise click.UsageError(f"--{name.replace('_', '-')} is for --kind whatif")
    import_matplotlib()
    from umtrace.analysis.figures import check_suffix
    from umtrace.model.whole_file import check_replaceable

    check_suffix(output)
    check_replaceable(Path(output), force=force)


_output_options = several(
    click.option(
        "-o",
        "--output",
        required=True,
        type=Output("a picture", as_path=False),
        metavar="FILE",
        help="Write to FILE.png, .svg or .pdf, mode 0600.",
    ),
    click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists."),
    picture_options,
)


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath())
@click.option(
    "--kind", type=click.Choice(_KINDS), default="hist", show_default=True, help="Draw this plot."
)
@by_option("Draw one series per value of these columns, or none.")
@_output_options
@host_options
@filter_options
@click.pass_context
def command(
    ctx: click.Context,
    recording: str,
    kind: str,
    by: str,
    output: str,
    force: bool,
    size: tuple[float, float] | None,
    dpi: int | None,
    host: Host,
    row_filter: RowFilter,
) -> int:
    """Draw the recording DIR as PNG, SVG or PDF.

    \b
    hist, cdf  distribution of latency and of the RCU wait
    phases     mean time of each phase
    modes      median and p99 of each phase, sync against lazy
    heatmap    latency over time
    timeline   umounts over time, with their phases
    mounts     RCU wait against the number of mounts unmounted at once
    ebusy      EBUSY windows over time
    whatif     what callers would wait under other designs of the RCU wait

    --by is for hist, cdf and phases, with the four largest groups; see `umtrace report --help`.
    """  # noqa: D301
    _prepare(ctx, kind, output, force=force)
    from umtrace.analysis.figures import DPI, figure_of, save
    from umtrace.present.terminal import complain, say_written
    from umtrace.query.whatif import Assumptions
    from umtrace.recording import Recording

    opened = Recording.open(recording)
    chosen, source = _selected(opened, row_filter), _source(opened, row_filter)
    assume = Assumptions(**asdict(host))
    figure = figure_of(kind, chosen, by=key_list(by), source=source, size=size, assume=assume)
    complain(opened.problems)
    save(figure, output, force=force, dpi=dpi or DPI)
    say_written(output)
    return read_status(opened)


def _selected(opened: Recording, row_filter: RowFilter) -> Selection:
    from umtrace.present.terminal import complain
    from umtrace.query.selection import Selection

    chosen = Selection(opened, row_filter)
    complain(chosen.unknown())
    return chosen


def _source(opened: Recording, row_filter: RowFilter) -> str:
    from umtrace.present.terminal import clean

    return f"{clean(str(opened.path))} {row_filter.describe()}".strip()
