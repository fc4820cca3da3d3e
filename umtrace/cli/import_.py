"""umtrace import: a trace that another tool took, as a recording."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from umtrace.cli.options import Output, examples


@click.command("import", epilog=examples("umtrace import trace.dat -o rec.umt"))
@click.argument("trace", metavar="FILE", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=Output("a recording"),
    help="Write the recording to DIR, mode 0700.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing recording.")
def command(trace: Path, output: Path, force: bool) -> None:
    """Convert FILE, a trace of umounts by another tool, to a recording.

    FILE is a trace-cmd file (trace.dat; trace-cmd must be installed), or the text that tracefs
    or `trace-cmd report` prints. It may be a pipe; - is standard input.

    \b
    The import reads
      the tracer function_graph on path_umount, umount_tree, namespace_unlock,
        synchronize_rcu_expedited, synchronize_rcu_normal, __wait_rcu_gp,
        propagate_mount_busy, cleanup_mnt;
      the events syscalls:sys_enter_umount and sys_exit_umount;
      any later system call or the exit of a task, which bound the latency.

    \b
    This command records all of them:
      trace-cmd record -C mono -p function_graph -l path_umount -l umount_tree \\
        -l namespace_unlock -l synchronize_rcu_expedited -l cleanup_mnt \\
        -l propagate_mount_busy -e syscalls:sys_enter_umount \\
        -e syscalls:sys_exit_umount umount /mnt/a

    A column is null where its function was not traced; docs/ftrace.md lists which column needs
    which function. A trace has no mount identities. Its times count from boot, so dates are in
    1970.
    """  # noqa: D301 - click's mark of a block that keeps its lines
    from umtrace.pipeline.imported import import_trace
    from umtrace.present.terminal import clean, say, write
    from umtrace.recording import Recording

    totals = import_trace(trace, output, force=force)
    left_out = Recording.open(output).meta.extra.get("left_out")
    if left_out:
        say(f"warning: {trace}: {left_out}")
    text = f"{output}: {totals.rows} umounts, {totals.incomplete} incomplete"
    write(clean(text) + "\n", sys.stderr)
