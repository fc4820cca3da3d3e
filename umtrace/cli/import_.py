"""umtrace import: a trace that another tool took, as a recording."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import", epilog="Example: umtrace import trace.dat -o rec.umt")
@click.argument("trace", metavar="FILE", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Recording.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing recording.")
def command(trace: Path, output: Path, force: bool) -> None:
    """Make a recording of FILE: a trace-cmd file, or text of ftrace or trace-cmd report.

    Understood are function_graph of the functions that umtrace probes, and the events
    syscalls:sys_enter_umount and sys_exit_umount. What they do not tell is null.
    """
    from umtrace.pipeline import import_trace

    totals = import_trace(trace, output, force=force)
    click.echo(f"{output}: {totals.rows} umounts, {totals.incomplete} incomplete", err=True)
