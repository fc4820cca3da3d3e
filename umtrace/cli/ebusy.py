"""`umtrace ebusy`: the EBUSY windows of a recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.filters import filter_options, spurious_option
from umtrace.records.windows import CLASSES
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.records.windows import EbusyWindow


@click.command("ebusy", epilog="Example: umtrace ebusy rec.umt --class held")
@click.argument("recording", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--class", "classes", multiple=True, type=click.Choice(CLASSES), help="Only these.")
@click.option("--no-evidence", is_flag=True, help="The table alone.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@spurious_option
@filter_options
def command(
    recording: Path,
    classes: tuple[str, ...],
    no_evidence: bool,
    as_json: bool,
    spurious_within_ns: int,
    row_filter: RowFilter,
) -> None:
    """List the EBUSY windows of the recording DIR: was it really busy, by whom, how long.

    \b
    transient-ref    a path walk held it for less than --spurious-within
    held             a task or the kernel held it: who, and how
    submount         another mount was mounted below it
    propagated-copy  a copy in another namespace was held
    expire           MNT_EXPIRE: any reference is EBUSY
    stolen-put       umount returned, then another task put the last reference
    lazy-tail        MNT_DETACH returned, the file system lived on
    shared-sb        umount done, other mounts keep the superblock
    downstream       another call that failed inside one of these
    unknown          nobody was seen, and no retry came in time
    """  # noqa: D301
    from umtrace import pipeline
    from umtrace.present.ebusy import ebusy_json, ebusy_text
    from umtrace.present.terminal import width_of, write

    found: list[EbusyWindow] = [
        window
        for window in pipeline.ebusy_windows(
            recording, spurious_within_ns=spurious_within_ns, row_filter=row_filter
        )
        if not classes or window.klass in classes
    ]
    found.sort(key=lambda window: window.begin_ns)
    counters = pipeline.walk_counters(recording, row_filter=row_filter)
    if as_json:
        text = ebusy_json(found, counters)
    else:
        width = width_of(sys.stdout)
        text = ebusy_text(found, counters, width=width, evidence=not no_evidence)
    write(text, sys.stdout)
