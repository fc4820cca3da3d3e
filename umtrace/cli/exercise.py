"""`umtrace exercise`: real umounts in a private mount namespace, and the ledger of them."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from umtrace.cli.options import Count, Milliseconds, Seconds, examples, given, several
from umtrace.cli.working import in_another_process
from umtrace.model.errors import UsageError

if TYPE_CHECKING:
    from umtrace.exercise.ledger import Ledger

_MOST = 1_000_000  # an hour of umounts
_COUNT = Count(0, _MOST)
_DEFAULTS = {"sync": 10, "lazy": 5, "busy": 3}

_EPILOG = examples(
    "umtrace exercise --sync 23 --lazy 11 --busy 7",
    "umtrace exercise --sync 200 --walkers 2 --json > ledger.json",
    "umtrace record -- umtrace exercise --tasks 64 --duration 5",
)

#: without any of these it is `_DEFAULTS`
_COUNTS = (
    "sync",
    "lazy",
    "busy",
    "propagate",
    "ns_exit",
    "detach",
    "fd_close",
    "tasks",
    "containers",
)
#: options -> one of these must be given, too
_NEEDS = {
    "duration": ("tasks",),
    "task_mode": ("tasks",),
    "walkers": ("sync",),
    "hold": ("lazy", "busy", "holds"),
}

_HOW_MANY = several(
    click.option("--sync", type=_COUNT, metavar="N", help="Unmount N mounts with umount(2)."),
    click.option("--lazy", type=_COUNT, metavar="N", help="Unmount N mounts with MNT_DETACH."),
    click.option(
        "--busy", type=_COUNT, metavar="N", help="Try to unmount N mounts with a file open (EBUSY)."
    ),
    click.option(
        "--propagate",
        type=_COUNT,
        metavar="N",
        help="Unmount one mount that has N propagated copies.",
    ),
    click.option(
        "--ns-exit",
        type=_COUNT,
        metavar="N",
        help="Destroy N mount namespaces by the exit of their last task.",
    ),
    click.option(
        "--detach",
        type=_COUNT,
        metavar="N",
        help="Remove N mountpoints that are mounted on in another namespace.",
    ),
    click.option(
        "--fd-close", type=_COUNT, metavar="N", help="Close the descriptors of N detached mounts."
    ),
    click.option("--tasks", type=_COUNT, metavar="N", help="Mount and unmount in N tasks at once."),
    click.option(
        "--containers",
        type=_COUNT,
        metavar="N",
        help="Mount the id-mapped layers of N containers for a moment, twice each.",
    ),
)
_CONTAINERS = several(
    click.option(
        "--layers",
        type=_COUNT,
        default=50,
        show_default=True,
        metavar="N",
        help="Give each of --containers N layers.",
    ),
    click.option(
        "--makers",
        type=_COUNT,
        default=2,
        show_default=True,
        metavar="N",
        help="Make --containers in N threads.",
    ),
    click.option(
        "--neighbours",
        type=_COUNT,
        default=1,
        show_default=True,
        metavar="N",
        help="Have N other mount namespaces that get a copy of each layer.",
    ),
    click.option(
        "--holds",
        type=_COUNT,
        default=0,
        show_default=True,
        metavar="N",
        help="Keep N layers busy for --hold: in turn by a child before its execve and by a file"
        " open in a neighbour's copy.",
    ),
)
_HOW = several(
    click.option(
        "--duration",
        type=Seconds(),
        metavar="TIME",
        help="Run --tasks for TIME, such as 10, 10s or 1m.  [default: 1s]",
    ),
    click.option(
        "--task-mode",
        type=click.Choice(["mixed", "sync", "lazy"]),
        default="mixed",
        show_default=True,
        help="Unmount this way in --tasks; mixed alternates.",
    ),
    click.option(
        "--walkers",
        type=_COUNT,
        default=0,
        show_default=True,
        metavar="N",
        help="Walk into the sync mounts with N processes; retry on EBUSY.",
    ),
    click.option(
        "--files",
        type=_COUNT,
        default=0,
        show_default=True,
        metavar="N",
        help="Create N files in each mount.",
    ),
    click.option(
        "--fstype",
        type=click.Choice(["tmpfs", "ext4", "xfs"]),
        default="tmpfs",
        show_default=True,
        help="Mount this file system; ext4 and xfs use loop devices.",
    ),
    click.option(
        "--hold",
        type=Seconds(),
        default="0s",
        show_default=True,
        metavar="TIME",
        help="Close the open file TIME after each lazy umount and the last EBUSY, such as 300ms; "
        "how long each of --holds lasts.",
    ),
    click.option("--hold-ms", type=Milliseconds(min=0), hidden=True),  # until 0.2
)


@click.command(epilog=_EPILOG)
@_HOW_MANY
@_HOW
@_CONTAINERS
@click.option("--json", "as_json", is_flag=True, help="Print the complete list as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    duration: float | None,
    hold: float,
    hold_ms: float | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run known umounts in a private mount namespace and list them.

    Nothing on the host is mounted or unmounted. Without a count the command runs 10 sync, 5 lazy
    and 3 busy umounts; with a count, only those. The list (--json: the ledger) has each call that
    a tracer must see; `umtrace selftest` compares a recording with it.
    """
    from umtrace.exercise.config import ExerciseConfig
    from umtrace.exercise.run import run

    if all(options[name] is None for name in _COUNTS):
        options |= _DEFAULTS
    _refuse_useless(ctx, options)
    config = ExerciseConfig(
        **{name: value for name, value in options.items() if value is not None},
        duration_s=1.0 if duration is None else duration,
        hold_ms=hold * 1000 if hold_ms is None else hold_ms,
    )
    with in_another_process("unmounting"):
        ledger = run(config)
    _print(ledger, as_json=as_json)
    return _exit_code(ledger)


def _refuse_useless(ctx: click.Context, options: dict[str, Any]) -> None:
    """Raise UsageError for an option that changes nothing without another."""
    for name, needed in _NEEDS.items():
        if given(ctx, name) and not any(options[each] for each in needed):
            others = " or ".join(f"--{each}" for each in needed)
            raise UsageError(f"--{name.replace('_', '-')} is for {others}: give both")


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
