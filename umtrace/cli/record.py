"""umtrace record: into a recording, until Ctrl-C, a duration, or a command's end."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli import working
from umtrace.cli.child import Child
from umtrace.cli.filters import filter_options
from umtrace.cli.live import (
    LiveOptions,
    attached,
    calibration_option,
    live_options,
    show_closing,
    stopping,
)
from umtrace.cli.options import Count, Output, as_one, examples
from umtrace.model.errors import StoppedError, UsageError
from umtrace.model.stopping import StopSignals
from umtrace.model.writable import check_writable, free_path
from umtrace.present.terminal import say, say_wrapped
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.pipeline import Until
    from umtrace.pipeline.run import Sink
    from umtrace.pipeline.ticks import Totals
    from umtrace.present.progress import Progress
    from umtrace.recording import Recording
    from umtrace.sources.base import Follower, Source


def _open_fd(_ctx: click.Context, _param: click.Parameter, number: int | None) -> int | None:
    try:
        if number is not None:
            os.fstat(number)
    except OSError as error:
        raise click.BadParameter(f"{number}: {error.strerror}") from None
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where a recording goes, and what is said meanwhile."""

    output: Path | None  #: None: a free name in the working directory, or no recording
    summaries: str | None  #: folder or URL for hourly counts
    force: bool
    quiet: bool
    ready_fd: int | None
    calibration: bool

    def say(self, text: str) -> None:
        """Print a remark to stderr."""
        if not self.quiet:
            say(text)

    def progress(self, child: Child) -> Progress:
        """Return what says how far it is: between the lines of a command it shows no counts."""
        from umtrace.present.progress import Progress

        shared = child.given and sys.stdout.isatty()
        return Progress(quiet=self.quiet, shares_terminal=shared)

    def place(self) -> Path | None:
        """Return the directory of the recording, checked; None for summaries alone."""
        if self.quiet:
            working.end()
        if self.summaries is not None:
            from umtrace.fleet.storage import storage_of

            storage_of(self.summaries).check()
        if self.output is None and self.summaries is not None:
            return None
        path = self.output or free_path(time.time_ns())
        check_writable(path)
        return path

    def sinks(self, path: Path | None, command: Sequence[str], child: Child) -> list[Sink]:
        """Return what takes the rows."""
        from umtrace.pipeline import RecordingSink
        from umtrace.pipeline.calibration import Calibration

        sinks: list[Sink] = []
        if path is not None:
            gauge = Calibration(wanted=self.calibration)
            recording = RecordingSink(
                path,
                command=command,
                force=self.force,
                ran_ns=lambda: child.ran_ns,
                normal_gp=gauge.to_dict,
            )
            sinks += [gauge, recording]
        if self.summaries is not None:
            from umtrace.fleet.live import SummarySink

            sinks.append(SummarySink(self.summaries, say=self.say))
        return sinks

    def announce(self) -> None:
        """Write that the probes are attached, if somebody waits for it."""
        if self.ready_fd is not None:
            os.write(self.ready_fd, b"ready\n")
            os.close(self.ready_fd)


_output_options = as_one(
    "to",
    OutputOptions,
    click.option(
        "-o",
        "--output",
        metavar="DIR",
        type=Output("a recording"),
        help="Write the recording to DIR, mode 0700.  [default: umtrace-DATE-TIMEZ.umt, of UTC]",
    ),
    click.option(
        "--summaries",
        type=Output("summaries", as_path=False),
        metavar="DIR|URL",
        help="Write the counts of each hour below DIR, or to object storage such as "
        "s3://bucket/summaries. Without -o, nothing else is kept.",
    ),
    click.option("-f", "--force", is_flag=True, help="Overwrite an existing recording."),
    click.option("-q", "--quiet", is_flag=True, help="Print errors only."),
    click.option(
        "--ready-fd",
        type=Count(),
        metavar="N",
        callback=_open_fd,
        help="Write a line `ready` to the open file descriptor N and close it, once the probes "
        "are attached and before COMMAND starts.",
    ),
    calibration_option,
)
#: what follows COMMAND is its own
_SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}
_EPILOG = examples(
    "umtrace record -o demo.umt -- umtrace exercise --sync 20 --lazy 10",
    "umtrace record --summaries s3://bucket/summaries",
)


@click.command("record", context_settings=_SETTINGS, epilog=_EPILOG)
@_output_options
@live_options
@filter_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    to: OutputOptions,
    live: LiveOptions,
    command: tuple[str, ...],
    row_filter: RowFilter,
) -> None:
    """Record umounts to a directory, until Ctrl-C, --duration, or the end of COMMAND.

    Progress and summary go to stderr. COMMAND starts once the probes are attached and keeps
    stdin and stdout; its exit status is returned. With --duration too, recording stops at
    whichever comes first. COMMAND is not ended: umtrace waits for it.
    """
    path = to.place()
    with (
        _said_when_cut_short(path) as state,
        StopSignals() as signals,
        Child(command, signals, show_closing if not to.quiet else lambda: None) as child,
        attached(live, signals, to.say) as source,
    ):
        from umtrace.pipeline import run

        progress = to.progress(child)
        follower = _follower(source, command, row_filter)
        where = path or str(to.summaries)

        def start() -> None:
            to.announce()
            progress.start(where, source.tier)
            child.start(follower)

        totals = run(
            source,
            [*to.sinks(path, command, child), progress],
            until=_until(child, signals, live.duration, to),
            row_filter=row_filter,
            on_ready=start,
            spurious_within_ns=live.spurious_within_ns,
            is_of_command=follower,
        )
        state.finished = True
        _sum_up(path, totals, to, progress)
        ctx.exit(child.wait())


def _follower(source: Source, command: Sequence[str], row_filter: RowFilter) -> Follower | None:
    """Return what follows the command; UsageError for --only-command where nothing does."""
    follower = source.follow_command() if command else None
    if not row_filter.by_command or follower is not None:
        return follower
    if not command:
        raise UsageError("--only-command needs a COMMAND: umtrace record --only-command -- COMMAND")
    raise UsageError(
        "--only-command: the processes of COMMAND cannot be followed here; that takes a BPF tier, "
        "BTF, and the host's pid namespace"
    )


def _sum_up(path: Path | None, totals: Totals, to: OutputOptions, progress: Progress) -> None:
    """Say what was recorded, and if it is a recording what a report begins with."""
    if path is None:
        progress.summary(str(to.summaries), totals)
        return
    from umtrace.present.heading import lasted_ns
    from umtrace.recording import Recording

    recording = Recording.open(path)
    took_ns = lasted_ns(recording.meta)
    if took_ns is not None:  # as a report says it
        totals.seconds = took_ns / 1e9
    progress.summary(path, totals)
    _answer(recording, to)


def _answer(recording: Recording, to: OutputOptions) -> None:
    """Say what a report begins with, and how to read on."""
    if to.quiet:
        return
    working.begin()
    from umtrace.report_contents import answer_of

    answer = answer_of(recording)
    if not answer:
        to.say("no umount was seen; to try: umtrace record -- umtrace exercise")
        return
    say_wrapped(answer)
    to.say(f"next: umtrace report {shlex.quote(str(recording.path))}")


def _until(child: Child, signals: StopSignals, duration: float | None, to: OutputOptions) -> Until:
    """Return when a recording ends: signals are for the command, if there is one."""
    from umtrace.pipeline import Until

    if child.given:
        return Until(seconds=duration, also=lambda: child.done)
    return stopping(signals, duration, quiet=to.quiet)


@dataclass(slots=True)
class _State:
    finished: bool = False  #: whether the recording is complete


@contextmanager
def _said_when_cut_short(path: Path | None) -> Iterator[_State]:
    """Say what to do with a recording that a second signal left unfinished."""
    state = _State()
    try:
        yield state
    except KeyboardInterrupt:
        if path is None or not path.exists():
            raise
        what = f"report {path}" if state.finished else f"repair {path}"
        when = "after the recording was finished" if state.finished else "before it was finished"
        raise StoppedError(signal.SIGINT, f"{when}: umtrace {what}") from None
