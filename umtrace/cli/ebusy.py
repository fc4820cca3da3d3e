"""`umtrace ebusy`: the EBUSY windows of a recording."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import filter_options, judged_option
from umtrace.cli.options import Count, examples
from umtrace.cli.status import read_status
from umtrace.model.windows import CLASSES
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    import pyarrow as pa

    from umtrace.ebusy.counters import WalkCounters

_class_option = click.option(
    "--class",
    "classes",
    metavar="CLASS",
    multiple=True,
    type=click.Choice(CLASSES),
    help="Select by class.",
)


@click.command(
    "ebusy", epilog=examples("umtrace ebusy rec.umt --class held", "umtrace ebusy rec.umt 3")
)
@click.argument("recording", metavar="DIR", type=RecordingPath(path_type=Path))
@click.argument("number", metavar="[N]", type=Count(min=1), required=False)
@_class_option
@click.option("--evidence", is_flag=True, help="Print the evidence of each window, too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@judged_option
@filter_options
def command(
    recording: Path,
    number: int | None,
    classes: tuple[str, ...],
    evidence: bool,
    as_json: bool,
    spurious_within_ns: int | None,
    row_filter: RowFilter,
) -> int:
    """List the EBUSY windows of the recording DIR: real or spurious, the holder, the duration.

    With N, print the window of that number with its evidence. The classes are:

    \b
    transient-ref    a path walk held the mount, for less than --spurious-within
    held             a task or the kernel held the mount
    inherited-fd     a child had a descriptor from its parent until its execve
    submount         another mount was mounted below
    propagated-copy  a propagated copy in another namespace was held
    expire           MNT_EXPIRE fails while there is any other reference
    stolen-put       umount returned before another task put the last reference
    lazy-tail        the file system stayed in use after MNT_DETACH returned
    shared-sb        other mounts keep the superblock after the umount
    downstream       another call that failed within one of these windows
    unknown          no holder was seen and no retry succeeded in time
    """  # noqa: D301
    from umtrace.present.terminal import complain
    from umtrace.query.selection import Selection
    from umtrace.recording import Recording
    from umtrace.report_contents import walk_counters, windows_table

    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter)
    complain(chosen.unknown())
    table = _only(windows_table(chosen, spurious_within_ns, classes), number)
    counters = walk_counters(chosen)
    complain(opened.problems)
    texts = _text(table, counters, number, evidence, damaged=bool(opened.problems))
    _print(_json(table, counters) if as_json else texts)
    return read_status(opened)


def _print(parts: Iterable[str]) -> None:
    from umtrace.present.terminal import write

    for part in parts:
        write(part, sys.stdout)


def _only(table: pa.Table, number: int | None) -> pa.Table:
    if number is None:
        return table
    if number > table.num_rows:
        have = f"there are {table.num_rows:,}" if table.num_rows else "there is none"
        raise click.UsageError(f"no window {number}: {have} with these options")
    return table.slice(number - 1, 1)


def _json(table: pa.Table, counters: WalkCounters) -> Iterator[str]:
    from umtrace.model.windows import windows_from_arrow
    from umtrace.present.ebusy import ebusy_json
    from umtrace.stats.windows import WindowTotals

    windows = (w for rows in table.to_batches(4096) for w in windows_from_arrow(rows))
    yield from ebusy_json(windows, WindowTotals.of(table.to_batches()), counters)


def _text(
    table: pa.Table, counters: WalkCounters, number: int | None, evidence: bool, *, damaged: bool
) -> Iterator[str]:
    from umtrace.model.windows import windows_from_arrow
    from umtrace.present.ebusy import MOST, ebusy_text, window_text
    from umtrace.present.terminal import width_of
    from umtrace.stats.windows import WindowTotals

    first, totals = windows_from_arrow(table.slice(0, MOST)), WindowTotals.of(table.to_batches())
    width = width_of(sys.stdout)
    if number is not None:
        yield window_text(first[0], number, width)
        return
    yield ebusy_text(first, totals, counters, width=width, evidence=evidence, damaged=damaged)
