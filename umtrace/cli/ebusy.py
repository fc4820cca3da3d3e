"""`umtrace ebusy`: the EBUSY windows of a recording."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from umtrace.cli.examples import examples
from umtrace.cli.filters import filter_options, judged_option
from umtrace.cli.status import read_status
from umtrace.model.windows import CLASSES
from umtrace.stats.filters import RowFilter


@click.command("ebusy", epilog=examples("umtrace ebusy rec.umt --class held"))
@click.argument("recording", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice(CLASSES),
    help="Select by class.",
)
@click.option("--no-evidence", is_flag=True, help="Print the table without the evidence.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@judged_option
@filter_options
def command(
    recording: Path,
    classes: tuple[str, ...],
    no_evidence: bool,
    as_json: bool,
    spurious_within_ns: int | None,
    row_filter: RowFilter,
) -> int:
    """List the EBUSY windows of the recording DIR: real or spurious, the holder, the duration.

    \b
    transient-ref    a path walk held the mount, for less than --spurious-within
    held             a task or the kernel held the mount
    submount         another mount was mounted below
    propagated-copy  a propagated copy in another namespace was held
    expire           MNT_EXPIRE fails while there is any other reference
    stolen-put       umount returned before another task put the last reference
    lazy-tail        the file system stayed in use after MNT_DETACH returned
    shared-sb        other mounts keep the superblock after the umount
    downstream       another call that failed within one of these windows
    unknown          no holder was seen and no retry succeeded in time
    """  # noqa: D301
    from umtrace import report_contents
    from umtrace.model.windows import windows_from_arrow
    from umtrace.present.ebusy import MOST, ebusy_json, ebusy_text
    from umtrace.present.terminal import complain, width_of, write
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording
    from umtrace.stats.windows import WindowTotals

    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter)
    complain(chosen.unknown())
    table = report_contents.windows_table(
        chosen, spurious_within_ns=spurious_within_ns, classes=classes
    )
    totals = WindowTotals.of(table.to_batches())
    counters = report_contents.walk_counters(chosen)
    complain(opened.problems)
    if as_json:
        windows = (w for rows in table.to_batches(4096) for w in windows_from_arrow(rows))
        for part in ebusy_json(windows, totals, counters):
            write(part, sys.stdout)
    else:
        first = windows_from_arrow(table.slice(0, MOST))
        width, damaged = width_of(sys.stdout), bool(opened.problems)
        text = ebusy_text(
            first, totals, counters, width=width, evidence=not no_evidence, damaged=damaged
        )
        write(text, sys.stdout)
    return read_status(opened)
