"""umtrace record: into a recording, until Ctrl-C, a duration, or a command's end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from umtrace.cli.child import Child
from umtrace.cli.examples import examples
from umtrace.cli.filters import filter_options, spurious_option
from umtrace.cli.live import attached, duration_option, probes_option, tier_option
from umtrace.model.errors import StoppedError
from umtrace.model.stopping import StopSignals
from umtrace.model.writable import check_writable, free_path
from umtrace.present.terminal import say
from umtrace.stats.filters import RowFilter


def _open_fd(_ctx: click.Context, _param: click.Parameter, number: int | None) -> int | None:
    try:
        if number is not None:
            os.fstat(number)
    except OSError as error:
        raise click.BadParameter(f"{number}: {error.strerror}") from None
    return number


@click.command(
    "record",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog=examples("umtrace record -o demo.umt -- umtrace exercise --sync 20 --lazy 10"),
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the recording to DIR, mode 0700.  [default: umtrace-DATE-TIMEZ.umt, of UTC]",
)
@duration_option
@tier_option
@probes_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing recording.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option(
    "--ready-fd",
    type=int,
    metavar="N",
    callback=_open_fd,
    help="Write `ready` to file descriptor N once the probes are attached.",
)
@spurious_option
@filter_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    output: Path | None,
    duration: float | None,
    tier: str,
    probes: str,
    force: bool,
    quiet: bool,
    ready_fd: int | None,
    command: tuple[str, ...],
    spurious_within_ns: int,
    row_filter: RowFilter,
) -> None:
    """Record umounts to a directory, until Ctrl-C, --duration, or the end of COMMAND.

    Progress and summary go to stderr. COMMAND keeps stdin and stdout; its exit status is
    returned.
    """
    path = output or free_path(time.time_ns())
    check_writable(path)
    with ExitStack() as stack:
        stack.enter_context(_said_when_cut_short(path))
        signals = stack.enter_context(StopSignals())
        child = stack.enter_context(Child(command, signals))
        child.check()
        remark = _say_nothing if quiet else say
        source = stack.enter_context(attached(tier, probes, signals, remark))
        from umtrace import pipeline
        from umtrace.present.progress import Progress

        progress = Progress(quiet=quiet)

        def start() -> None:
            _tell(ready_fd)
            progress.start(path, source.tier)
            child.start()

        ended = pipeline.Until(also=lambda: child.done) if command else pipeline.Until(signals)
        totals = pipeline.record(
            path,
            source,
            sinks=[progress],
            until=ended.or_after(duration),
            row_filter=row_filter,
            command=command,
            force=force,
            on_ready=start,
            spurious_within_ns=spurious_within_ns,
        )
        progress.summary(path, totals)
        ctx.exit(child.wait() if command else 0)


def _say_nothing(_text: str) -> None:
    pass


@contextmanager
def _said_when_cut_short(path: Path) -> Iterator[None]:
    """Say what to do with a recording that a second signal left unfinished."""
    try:
        yield
    except KeyboardInterrupt:
        if not path.exists():
            raise
        how = f"before the recording was finished: umtrace repair {path}"
        raise StoppedError(signal.SIGINT, how) from None


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)
