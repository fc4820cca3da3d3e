"""umtrace trace: one line per umount as it happens."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.filters import filter_options, spurious_option
from umtrace.cli.live import (
    Deadline,
    check_start,
    duration_option,
    import_pipeline,
    probes_option,
    stdout_is_gone,
    tier_option,
)
from umtrace.cli.status import read_status
from umtrace.records.stopping import StopSignals
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.pipeline import Tick
    from umtrace.records.windows import EbusyWindow
    from umtrace.sources.base import Source


@click.command(
    "trace",
    epilog="Example: umtrace trace --comm 'containerd*' --min-latency 1ms",
)
@duration_option
@tier_option
@probes_option
@click.option("--json", "as_json", is_flag=True, help="JSON lines, all columns.")
@click.option(
    "--replay",
    "recording",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Print a recording's umounts instead of live ones.",
)
@spurious_option
@filter_options
@click.pass_context
def command(
    ctx: click.Context,
    duration: float | None,
    tier: str,
    probes: str,
    as_json: bool,
    recording: Path | None,
    spurious_within_ns: int,
    row_filter: RowFilter,
) -> int:
    """Print one line per umount as it happens, until Ctrl-C or --duration.

    An EBUSY gets a second line once it is known who made the mount busy, and one when
    it is over; with --json these have a key "event" with "ebusy-open" or "ebusy".
    """
    if recording is not None:
        _refuse(ctx, ("tier", "probes", "duration"))
        within_ns = spurious_within_ns if _is_given(ctx, "spurious_within_ns") else None
        return _replay(recording, row_filter, within_ns, as_json=as_json)
    if row_filter.errno:
        # Whether a retry succeeds is what tells a spurious EBUSY from a real one.
        click.echo("umtrace: --errno hides retries that succeed: windows stay unknown", err=True)
    with StopSignals() as signals, closing(_attached(tier, probes)) as source:
        check_start(signals)
        from umtrace import pipeline

        deadline = Deadline(duration)

        def ready() -> None:
            deadline.start()
            click.echo("umtrace: tracing; Ctrl-C ends it", err=True)
            _print_header(as_json=as_json)

        ticks = pipeline.live(
            source,
            row_filter=row_filter,
            spurious_within_ns=spurious_within_ns,
            stop=lambda: bool(signals.received or deadline.passed or stdout_is_gone()),
            on_ready=ready,
        )
        _print(_asked(ticks, row_filter), as_json=as_json)
    return 0


def _replay(
    path: Path, row_filter: RowFilter, spurious_within_ns: int | None, *, as_json: bool
) -> int:
    from umtrace import recorded
    from umtrace.present.terminal import complain
    from umtrace.recording import Recording

    opened = Recording.open(path)
    _print_header(as_json=as_json)
    ticks = recorded.replay(opened, row_filter=row_filter, spurious_within_ns=spurious_within_ns)
    _print(_asked(ticks, row_filter), as_json=as_json)
    complain(opened.problems)
    return read_status(opened)


def _asked(ticks: Iterator[Tick], row_filter: RowFilter) -> Iterator[Tick]:
    """Leave out what nobody unmounted, unless the filter is about that."""
    from umtrace.stats.matching import without_internal

    for tick in ticks:
        yield tick if row_filter.origin else replace(tick, rows=without_internal(tick.rows))


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _refuse(ctx: click.Context, names: tuple[str, ...]) -> None:
    for name in names:
        if _is_given(ctx, name):
            raise click.UsageError(f"--{name} is for live umounts; --replay prints recorded ones")


def _print_header(*, as_json: bool) -> None:
    from umtrace.present import lines

    if not as_json:
        click.echo(lines.HEADER)
        sys.stdout.flush()


def _attached(tier: str, probes: str) -> Source:
    from umtrace.present.terminal import say
    from umtrace.sources.select import declined, open_source, remark

    source = open_source(tier, probes, meanwhile=import_pipeline)
    if why := declined(source, tier):
        say(f"tier {source.tier} instead: {why}")
    if why := remark(source):
        say(why)
    return source


def _print(ticks: Iterator[Tick], *, as_json: bool) -> None:
    from umtrace.present import lines
    from umtrace.present.heading import loss_text
    from umtrace.present.rows import write_jsonl
    from umtrace.present.terminal import write

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    losses = None
    for tick in ticks:
        losses = tick.losses
        found = [(w, True) for w in tick.ebusy.windows] + [(w, False) for w in tick.ebusy.news]
        if not tick.rows.num_rows and not found:
            continue
        if as_json:
            write_jsonl(sys.stdout.buffer, tick.rows.schema, [tick.rows])
        else:
            for row in lines.line_rows(tick.rows):
                write(lines.line(row, width) + "\n", sys.stdout)
        for window, over in found:
            _print_window(window, over=over, as_json=as_json)
        sys.stdout.flush()
    if losses is not None and losses.lost_anything:
        click.echo(f"umtrace: losses: {loss_text(losses)}", err=True)


def _print_window(window: EbusyWindow, *, over: bool, as_json: bool) -> None:
    from umtrace.present.ebusy import jsonl, window_line
    from umtrace.present.terminal import write

    if as_json:
        event = {"event": "ebusy" if over else "ebusy-open"}
        sys.stdout.buffer.write(jsonl(window, event).encode())
    else:
        write(window_line(window, over=over) + "\n", sys.stdout)
