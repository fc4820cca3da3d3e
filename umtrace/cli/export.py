"""`umtrace export`: the rows of a recording for other tools."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from umtrace.cli.filters import filter_options
from umtrace.cli.options import examples
from umtrace.cli.status import read_status
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.query.selection import Selection

_EPILOG = examples(
    "umtrace export rec.umt --to jsonl --errno EBUSY",
    "umtrace export rec.umt -o rows.csv --columns t_start,path,latency_ns",
    "umtrace export rec.umt --to perfetto -o rec.pftrace",
)


@click.command(epilog=_EPILOG)
@click.argument("recording", metavar="DIR", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--to",
    "form",
    type=click.Choice(["csv", "jsonl", "perfetto"]),
    default="csv",
    show_default=True,
    help="Write this format.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    show_default=True,
    help="Write to FILE, mode 0600; - is standard output.",
)
@click.option(
    "--columns", metavar="A,B,…", help="Write only these columns, in this order.  [default: all]"
)
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE if it exists.")
@filter_options
def command(
    recording: Path, form: str, output: str, columns: str | None, force: bool, row_filter: RowFilter
) -> int:
    """Export the umounts of the recording DIR as CSV, JSON lines or a Perfetto trace.

    Times are UTC with nanoseconds. An unknown value is an empty cell or null. A Perfetto trace
    has one track per task with the phases, the RCU waits and the EBUSY windows; open it in
    ui.perfetto.dev.
    """
    from umtrace.present.terminal import say
    from umtrace.query.selection import Selection
    from umtrace.recording.reader import Recording

    opened = Recording.open(recording)
    chosen = Selection(opened, row_filter, internal=True)
    unknown = chosen.unknown()
    names = [name.strip() for name in columns.split(",")] if columns else None
    if form == "perfetto" and names:
        raise click.UsageError("--columns is for csv and jsonl; a trace has all it can show")
    with destination(output, force=force) as out:
        if form == "perfetto" and out.isatty():
            raise click.UsageError("a trace is no text for a terminal; give -o FILE")
        _write_trace(out, chosen) if form == "perfetto" else _write_rows(out, chosen, form, names)
    for problem in (*unknown, *opened.problems):
        say(f"warning: {problem}")
    return read_status(opened)


def _write_rows(out: BinaryIO, chosen: Selection, form: str, names: list[str] | None) -> None:
    from umtrace.present.rows import write_csv, write_jsonl

    write = {"csv": write_csv, "jsonl": write_jsonl}[form]
    schema = chosen.recording.schema("umounts", names)
    rows = (batch.select(schema.names) for batch in chosen.batches(schema.names))
    write(out, schema, rows)


def _write_trace(out: BinaryIO, chosen: Selection) -> None:
    from umtrace.present.perfetto import COLUMNS, write_perfetto
    from umtrace.present.terminal import say
    from umtrace.report_contents import Windows
    from umtrace.stats.columns import plain_rows

    windows = Windows(chosen)
    windows.see_all()
    clock = chosen.recording.meta.clock
    written = write_perfetto(out, clock, chosen.batches(COLUMNS), plain_rows(windows.batches()))
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
