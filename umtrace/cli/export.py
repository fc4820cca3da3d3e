"""`umtrace export`: the rows of a recording for other tools."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from umtrace.cli.complete import RecordingPath, columns_of_umounts, several_of
from umtrace.cli.filters import filter_options
from umtrace.cli.options import examples, several
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.query.selection import Selection

_EPILOG = examples(
    "umtrace export rec.umt --to jsonl --errno EBUSY",
    "umtrace export rec.umt -o rows.csv --columns t_start,path,latency_ns",
    "umtrace export rec.umt --to perfetto -o rec.pftrace",
)


_output_options = several(
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        default="-",
        show_default=True,
        help="Write to FILE, mode 0600; - is standard output.",
    ),
    click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists."),
)


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=RecordingPath(path_type=Path, readable=False))
@click.option(
    "--to",
    "form",
    type=click.Choice(["csv", "jsonl", "perfetto"]),
    default="csv",
    show_default=True,
    help="Write this format.",
)
@click.option(
    "--columns",
    shell_complete=several_of(columns_of_umounts),
    metavar="A,B,…",
    help="Columns, in this order.  [default: all]",
)
@click.option("--rcu-track", is_flag=True, help="Add a track of all RCU waits to a trace.")
@_output_options
@filter_options
def command(
    recording: Path,
    form: str,
    output: str,
    columns: str | None,
    rcu_track: bool,
    force: bool,
    row_filter: RowFilter,
) -> int:
    """Export the umounts of the recording DIR as CSV, JSON lines or a Perfetto trace.

    Times are UTC with nanoseconds. An unknown value is an empty cell or null. A Perfetto trace
    has one track per task with the phases, one of the EBUSY windows and one of the teardowns with
    their critical paths; ui.perfetto.dev opens it.
    """
    from umtrace.present.terminal import complain, say_written
    from umtrace.query.selection import Selection
    from umtrace.recording.reader import Recording

    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter, internal=True)
    _check(form, has_columns=columns is not None, rcu_track=rcu_track)
    unknown = chosen.unknown()  # before anything is written: it may refuse the filter
    with destination(output, force=force) as out:
        if form == "perfetto":
            _write_trace(out, chosen, rcu_track=rcu_track)
        else:
            _write_rows(out, chosen, form, columns)
    say_written(output)
    complain(f"warning: {each}" for each in (*unknown, *opened.problems))
    return read_status(opened)


def _check(form: str, *, has_columns: bool, rcu_track: bool) -> None:
    if form == "perfetto" and has_columns:
        raise click.UsageError("--columns is for csv and jsonl; a trace has all it can show")
    if form != "perfetto" and rcu_track:
        raise click.UsageError("--rcu-track is for --to perfetto")


def _write_rows(out: BinaryIO, chosen: Selection, form: str, columns: str | None) -> None:
    from umtrace.present.rows import write_csv, write_jsonl

    names = None if columns is None else [name.strip() for name in columns.split(",")]
    write = {"csv": write_csv, "jsonl": write_jsonl}[form]
    schema = chosen.recording.schema("umounts", names)
    rows = (batch.select(schema.names) for batch in chosen.batches(schema.names))
    write(out, schema, rows)


def _write_trace(out: BinaryIO, chosen: Selection, *, rcu_track: bool) -> None:
    from umtrace.present.perfetto import COLUMNS, write_perfetto
    from umtrace.present.terminal import say
    from umtrace.query.teardowns import each_teardown
    from umtrace.report_contents import Windows
    from umtrace.stats.columns import plain_rows

    if out.isatty():
        raise click.UsageError("a trace is no text for a terminal; give -o FILE")
    windows = Windows(chosen)
    windows.see_all()
    clock = chosen.recording.meta.clock
    rows, downs = chosen.batches(COLUMNS), each_teardown(chosen)
    busy = plain_rows(windows.batches())
    written = write_perfetto(out, clock, rows, busy, downs, rcu_track=rcu_track)
    left_out = sum(batch.num_rows for batch in chosen.batches(())) - written
    if left_out:
        what = "umount has" if left_out == 1 else "umounts have"
        say(f"warning: {left_out:,} {what} no known begin or latency: not in the trace")


def destination(output: str, *, force: bool) -> AbstractContextManager[BinaryIO]:
    """Open where to write; a file appears whole or, on any failure, not at all."""
    from umtrace.model.whole_file import written_whole

    if output == "-":
        return nullcontext(sys.stdout.buffer)
    return written_whole(Path(output), force=force)
