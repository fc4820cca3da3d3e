"""`umtrace stuck`: which umounts hang right now."""

from __future__ import annotations

import os
import sys

import click

from umtrace.cli.options import Seconds, examples
from umtrace.model.activity import NOW

_EPILOG = examples(
    "umtrace stuck", "umtrace stuck --for 5s; case $? in 10) logger umount hangs;; esac"
)


@click.command("stuck", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON; times in ns.")
@click.option("--all", "whole", is_flag=True, help="List every task.")
@click.option(
    "--for",
    "watch_s",
    metavar="TIME",
    type=Seconds(),
    default="500ms",
    show_default=True,
    help="Report a task that is in the same place for this long.",
)
def command(as_json: bool, whole: bool, watch_s: float) -> int:
    """List the tasks that hang in an umount now: the phase, since when, and for what they wait.

    No recording is needed: the command reads /proc. It shows tasks inside umount(2), in the
    namespace lock, or in the shutdown of a file system, and those that wait behind them; with
    the server, device or task that is waited for, and the command that ends the wait where one
    is known. It opens nothing on a file system that may hang.

    "at least" is how long the task has not run. A task that runs, but is in the same phase in
    each sample, is listed as taking long.

    \b
    Exit status:
       0  no task hangs in an umount
      10  a task hangs
      11  none hangs, but an umount takes long and still runs
      13  unknown: none was seen, but not everything could be read; run as root
    1 to 5 are errors, as for every command.
    """  # noqa: D301
    from umtrace.present.stuck import stuck_json, stuck_lines
    from umtrace.present.terminal import write
    from umtrace.stuck.query import StuckQuery

    NOW.note("watching the tasks of this host")
    answer = StuckQuery(watch_s).answer()
    if as_json:
        write(stuck_json(answer), sys.stdout)
    else:
        write("".join(line + "\n" for line in stuck_lines(answer, whole=whole)), sys.stdout)
        if os.geteuid() != 0 and answer.hidden:
            click.echo("umtrace: kernel stacks cannot be read without root; use sudo", err=True)
    return answer.exit_code
