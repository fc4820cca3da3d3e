"""`umtrace plot`: a recording as a picture."""

from __future__ import annotations

import click

from umtrace.cli.filters import filter_options, key_list
from umtrace.stats.filters import RowFilter

_KINDS = ("hist", "cdf", "phases")
_EPILOG = "Example: umtrace plot rec.umt --kind phases -o phases.svg"


@click.command(epilog=_EPILOG)
@click.argument("recording", type=click.Path())
@click.option("--kind", type=click.Choice(_KINDS), default="hist", help="What to draw.")
@click.option("--by", default="mode", metavar="KEY,…", help="One series each, or none.")
@click.option("-o", "--output", required=True, metavar="FILE", help="A .png, .svg or .pdf.")
@filter_options
def command(recording: str, kind: str, by: str, output: str, row_filter: RowFilter) -> None:
    """Draw RECORDING: latency and RCU wait (hist, cdf), or where the time goes (phases).

    KEY is as in `umtrace report`; the four largest groups are drawn.
    """
    from umtrace.analysis.figures import check_suffix, figure_of, save
    from umtrace.present.terminal import clean, complain
    from umtrace.recording import Recording
    from umtrace.stats.summarize import summarize_recording

    check_suffix(output)
    opened = Recording.open(recording)
    summary = summarize_recording(opened, row_filter, by=key_list(by))
    complain(opened.problems)
    source = " ".join([clean(str(opened.path)), row_filter.describe()]).strip()
    save(figure_of(kind, summary, source), output)
