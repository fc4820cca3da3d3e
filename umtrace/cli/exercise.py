"""`umtrace exercise`: real umounts in a private mount namespace, and the ledger of them."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from umtrace.cli.number import Number, Seconds
from umtrace.records.errors import UsageError

if TYPE_CHECKING:
    from umtrace.exercise.ledger import Ledger

_COUNT = click.IntRange(min=0)
_DEFAULTS = {"sync": 10, "lazy": 5, "busy": 3}

_EPILOG = """\b
Examples:
  umtrace exercise --sync 23 --lazy 11 --busy 7
  umtrace exercise --sync 200 --walkers 2 --json > ledger.json
  umtrace record -- umtrace exercise --tasks 64 --duration 5
"""


@click.command(epilog=_EPILOG)
@click.option("--sync", type=_COUNT, metavar="N", help="Umounts, each of a mount of its own.")
@click.option("--lazy", type=_COUNT, metavar="N", help="The same with MNT_DETACH.")
@click.option("--busy", type=_COUNT, metavar="N", help="Umounts that an open file makes EBUSY.")
@click.option(
    "--propagate", type=_COUNT, metavar="N", help="One umount that takes N propagated copies along."
)
@click.option(
    "--ns-exit", type=_COUNT, metavar="N", help="Tasks that exit and leave a mount namespace."
)
@click.option(
    "--detach", type=_COUNT, metavar="N", help="Mountpoints removed under another namespace."
)
@click.option(
    "--fd-close", type=_COUNT, metavar="N", help="Detached mounts that go with their descriptor."
)
@click.option(
    "--tasks", type=_COUNT, metavar="N", help="Tasks that mount and unmount at the same time."
)
@click.option(
    "--duration",
    type=Seconds(),
    metavar="TIME",
    help="How long the tasks do that: 10, 10s, 1m; 1s unless given.",
)
@click.option(
    "--task-mode",
    type=click.Choice(["mixed", "sync", "lazy"]),
    default="mixed",
    show_default=True,
    help="How the tasks unmount; mixed is both in turn.",
)
@click.option(
    "--walkers",
    type=_COUNT,
    default=0,
    metavar="N",
    help="Processes that walk into the sync mounts; an EBUSY is retried.",
)
@click.option(
    "--files", type=_COUNT, default=0, metavar="N", help="Files in each mount before its umount."
)
@click.option(
    "--fstype",
    type=click.Choice(["tmpfs", "ext4", "xfs"]),
    default="tmpfs",
    show_default=True,
    help="File system; ext4 and xfs are on loop devices.",
)
@click.option(
    "--hold-ms",
    type=Number(min=0),
    default=0.0,
    metavar="MS",
    help="How long an open file outlives each lazy umount and the last EBUSY.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole ledger as JSON.")
def command(
    *,
    duration: float | None,
    task_mode: str,
    walkers: int,
    files: int,
    fstype: str,
    hold_ms: float,
    as_json: bool,
    **counts: int | None,
) -> int:
    """Do real umounts in a private mount namespace, and say which.

    Nothing on the host is mounted or unmounted. Without any count it does 10 sync,
    5 lazy and 3 busy umounts; with any, just what was asked for. The ledger says
    what a tracer has to see, call by call; `umtrace selftest` compares the two.
    """
    from umtrace.exercise.config import ExerciseConfig
    from umtrace.exercise.run import run

    if duration is not None and not counts["tasks"]:
        raise UsageError("--duration is for --tasks: give both")
    config = ExerciseConfig(
        **_chosen(counts),
        duration_s=1.0 if duration is None else duration,
        task_mode=task_mode,
        walkers=walkers,
        files=files,
        fstype=fstype,
        hold_ms=hold_ms,
    )
    ledger = run(config)
    _print(ledger, as_json=as_json)
    return _exit_code(ledger)


def _chosen(counts: dict[str, int | None]) -> dict[str, int]:
    given = {name: count for name, count in counts.items() if count is not None}
    return given or _DEFAULTS


def _print(ledger: Ledger, *, as_json: bool) -> None:
    from umtrace.exercise.summary import summary

    if as_json:
        for chunk in ledger.json_chunks():
            sys.stdout.write(chunk)
        click.echo()
    else:
        for line in summary(ledger):
            click.echo(line)


def _exit_code(ledger: Ledger) -> int:
    if ledger.interrupted_by is None:
        return 0
    name = signal.Signals(ledger.interrupted_by).name
    click.echo(f"umtrace: ended by {name}; the ledger lists what was done", err=True)
    return 128 + ledger.interrupted_by
