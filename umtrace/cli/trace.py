"""umtrace trace: one line per umount as it happens."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import filter_options
from umtrace.cli.live import LiveOptions, attached, live_options, stdout_is_gone
from umtrace.cli.options import examples, given
from umtrace.cli.status import read_status
from umtrace.model.stopping import StopSignals
from umtrace.present.terminal import say
from umtrace.stats.filters import RowFilter

if TYPE_CHECKING:
    from umtrace.model.losses import LossReport
    from umtrace.model.windows import EbusyWindow
    from umtrace.pipeline import Tick


_EPILOG = examples(
    "umtrace trace --comm 'containerd*' --min-latency 1ms",
    "umtrace trace --replay rec.umt --errno EBUSY",
)


@click.command("trace", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines with all columns.")
@click.option(
    "--replay",
    "recording",
    metavar="DIR",
    type=RecordingPath(path_type=Path),
    help="Print the umounts of the recording DIR instead of live ones.",
)
@live_options
@filter_options
@click.pass_context
def command(
    ctx: click.Context,
    as_json: bool,
    recording: Path | None,
    live: LiveOptions,
    row_filter: RowFilter,
) -> int:
    """Print one line per umount as it happens, until Ctrl-C or --duration.

    An EBUSY prints two more lines: one when its holder is found, one when its window ends. An
    umount that has not ended prints a line after 1 s, 10 s and 60 s: its phase, and since when.
    With --json these lines have a key "event": "ebusy-open", "ebusy" or "hang".
    """
    if recording is not None:
        _refuse(ctx, ("tier", "probes", "duration"))
        within_ns = live.spurious_within_ns if given(ctx, "spurious_within_ns") else None
        return _replay(recording, row_filter, within_ns, as_json=as_json)
    if row_filter.errno:
        # A spurious EBUSY differs from a real one in the retry that succeeds.
        text = "--errno hides the retries that succeed: EBUSY windows stay unknown"
        click.echo(f"umtrace: {text}", err=True)
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        source = stack.enter_context(attached(live, signals, say))
        from umtrace.pipeline import Until, run

        run(
            source,
            [_Lines(row_filter, as_json=as_json)],
            until=Until(signals, live.duration, also=stdout_is_gone),
            row_filter=row_filter,
            on_ready=lambda: say("tracing; Ctrl-C ends it"),
            spurious_within_ns=live.spurious_within_ns,
        )
    return 0


def _replay(
    path: Path, row_filter: RowFilter, spurious_within_ns: int | None, *, as_json: bool
) -> int:
    from umtrace.pipeline import offline
    from umtrace.present.terminal import complain
    from umtrace.recording import Recording

    opened, printer = Recording.open(path), _Lines(row_filter, as_json=as_json)
    with printer.opened():
        for tick in offline.replay(
            opened, row_filter=row_filter, spurious_within_ns=spurious_within_ns
        ):
            printer.take(tick)
        printer.finish()
    complain(opened.problems)
    return read_status(opened)


def _refuse(ctx: click.Context, names: tuple[str, ...]) -> None:
    for name in names:
        if given(ctx, name):
            raise click.UsageError(f"--{name} is for live umounts; --replay prints recorded ones")


class _Lines:
    """Prints ticks; a sink of the pipeline. The header comes first, losses last."""

    def __init__(self, row_filter: RowFilter, *, as_json: bool) -> None:
        self._whole = bool(row_filter.origin)
        self._as_json = as_json
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._losses: LossReport | None = None
        self._undecided: Mapping[str, tuple[int, int]] = {}

    @contextmanager
    def opened(self, _run: object = None) -> Iterator[None]:
        """Print the header."""
        from umtrace.present import lines

        if not self._as_json:
            click.echo(lines.header(self._width))
            sys.stdout.flush()
        yield

    def take(self, tick: Tick) -> None:
        """Print what one tick brought, without what nobody unmounted unless that is asked for."""
        from umtrace.present import lines
        from umtrace.present.rows import hang_json, write_jsonl
        from umtrace.present.terminal import write
        from umtrace.stats.matching import without_internal

        self._losses, self._undecided = tick.losses, tick.undecided
        rows = tick.rows if self._whole else without_internal(tick.rows)
        found = [(w, True) for w in tick.ebusy.windows] + [(w, False) for w in tick.ebusy.news]
        hangs = [h for h in tick.hangs if self._whole or h.row["origin"] != "mount-internal"]
        if not rows.num_rows and not found and not hangs:
            return
        if self._as_json:
            write_jsonl(sys.stdout.buffer, rows.schema, [rows])
        else:
            for row in lines.line_rows(rows):
                write(lines.line(row, self._width) + "\n", sys.stdout)
        for window, over in found:
            _print_window(window, self._width, over=over, as_json=self._as_json)
        for hang in hangs:
            text = hang_json(hang) if self._as_json else lines.hang_line(hang, self._width)
            write(text + "\n", sys.stdout)
        sys.stdout.flush()

    def finish(self) -> None:
        """Say what the filter could not decide and what was lost, if anything was."""
        from umtrace.present.heading import loss_text
        from umtrace.stats.unseen import sentences

        for sentence in sentences(self._undecided):
            say(sentence)
        if self._losses is not None and self._losses.lost_anything:
            say(f"losses: {loss_text(self._losses)}")


def _print_window(window: EbusyWindow, width: int | None, *, over: bool, as_json: bool) -> None:
    from umtrace.present.ebusy import jsonl, window_lines
    from umtrace.present.terminal import write

    if as_json:
        event = {"event": "ebusy" if over else "ebusy-open"}
        sys.stdout.buffer.write(jsonl(window, event).encode())
    else:
        lines = window_lines(window, width, over=over)
        write("".join(f"{line}\n" for line in lines), sys.stdout)
