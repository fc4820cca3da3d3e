"""umtrace trace: one line per umount as it happens."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.filters import filter_options, spurious_option
from umtrace.cli.live import (
    Deadline,
    StopSignals,
    duration_option,
    probes_option,
    stdout_is_gone,
    tier_option,
)
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.pipeline import Tick
    from umtrace.records.windows import EbusyWindow


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
def command(
    duration: float | None,
    tier: str,
    probes: str,
    as_json: bool,
    recording: Path | None,
    spurious_within_ns: int,
    row_filter: RowFilter,
) -> None:
    """Print one line per umount as it happens, until Ctrl-C or --duration.

    An EBUSY gets a second line once it is known who made the mount busy, and one when
    it is over; with --json these have a key "event" with "ebusy-open" or "ebusy".
    """
    from umtrace import pipeline, recorded
    from umtrace.sources.base import Source
    from umtrace.sources.select import declined, remark

    def say(source: Source) -> None:
        signals.check_start()
        if why := declined(source, tier):
            click.echo(f"umtrace: tier {source.tier} instead: {why}", err=True)
        if why := remark(source):
            click.echo(f"umtrace: {why}", err=True)

    deadline = Deadline(duration)

    def ready() -> None:
        deadline.start()
        click.echo("umtrace: tracing; Ctrl-C ends it", err=True)

    with StopSignals() as signals:
        if recording is not None:
            ticks = recorded.replay(recording, row_filter=row_filter)
        else:
            ticks = pipeline.live(
                tier,
                probes=probes,
                row_filter=row_filter,
                spurious_within_ns=spurious_within_ns,
                stop=lambda: bool(signals.received or deadline.passed or stdout_is_gone()),
                on_source=say,
                on_ready=ready,
            )
        _print(ticks, as_json=as_json)


def _print(ticks: Iterator[Tick], *, as_json: bool) -> None:
    from umtrace.present import lines
    from umtrace.present.heading import loss_text
    from umtrace.present.rows import write_jsonl

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    losses = None
    if not as_json:
        click.echo(lines.HEADER)
    for tick in ticks:
        losses = tick.losses
        found = [(w, True) for w in tick.ebusy.windows] + [(w, False) for w in tick.ebusy.news]
        if not tick.rows.num_rows and not found:
            continue
        if as_json:
            write_jsonl(sys.stdout.buffer, tick.rows.schema, [tick.rows])
        else:
            for row in lines.line_rows(tick.rows):
                click.echo(lines.line(row, width))
        for window, over in found:
            _print_window(window, over=over, as_json=as_json)
        sys.stdout.flush()
    if losses is not None and losses.lost_anything:
        click.echo(f"umtrace: losses: {loss_text(losses)}", err=True)


def _print_window(window: EbusyWindow, *, over: bool, as_json: bool) -> None:
    from umtrace.present.ebusy import jsonl, window_line

    if as_json:
        event = {"event": "ebusy" if over else "ebusy-open"}
        sys.stdout.buffer.write(jsonl(window, event).encode())
    else:
        click.echo(window_line(window, over=over))
