"""umtrace trace: one line per umount as it happens."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.filters import filter_options, gap_option
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
    from umtrace.teardowns import Done


_TAIL_NS = 5_000_000_000  # a last put is traced for so long
_LOOK_NS = 500_000_000
_EPILOG = examples(
    "umtrace trace --comm 'containerd*' --min-latency 1ms",
    "umtrace trace --replay rec.umt --errno EBUSY",
    "umtrace trace --teardowns",
)


@click.command("trace", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines with all columns.")
@click.option(
    "--teardowns",
    is_flag=True,
    help="Print one line per teardown instead, 6 s after its end: umounts of one owner that "
    "belong together.",
)
@gap_option
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
    teardowns: bool,
    gap_ns: int,
    recording: Path | None,
    live: LiveOptions,
    row_filter: RowFilter,
) -> int:
    """Print one line per umount as it happens, until Ctrl-C or --duration.

    An EBUSY prints two more lines: one when its holder is found, one when its window ends. An
    umount that has not ended prints a line after 1 s, 10 s and 60 s: its phase, and since when.
    With --json these lines have a key "event": "ebusy-open", "ebusy" or "hang". After a wait of
    1 ms for the namespace lock a line says behind whom, where the tier sees it.
    """
    if given(ctx, "gap_ns") and not teardowns:
        raise click.UsageError("--gap is for --teardowns")
    printer = _Lines(row_filter, as_json=as_json)
    if teardowns:
        printer = _TeardownLines(row_filter, as_json, gap_ns, live=recording is None)
    if recording is not None:
        _refuse(ctx, ("tier", "probes", "duration"))
        within_ns = live.spurious_within_ns if given(ctx, "spurious_within_ns") else None
        return _replay(recording, row_filter, within_ns, printer)
    if row_filter.errno:
        # A spurious EBUSY differs from a real one in the retry that succeeds.
        text = "--errno hides the retries that succeed: EBUSY windows stay unknown"
        click.echo(f"umtrace: {text}", err=True)
    _trace(live, row_filter, printer)
    return 0


def _trace(live: LiveOptions, row_filter: RowFilter, printer: _Lines) -> None:
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        source = stack.enter_context(attached(live, signals, say))
        from umtrace.pipeline import Until, run

        run(
            source,
            [printer],
            until=Until(signals, live.duration, also=stdout_is_gone),
            row_filter=row_filter,
            on_ready=lambda: say("tracing; Ctrl-C ends it"),
            spurious_within_ns=live.spurious_within_ns,
        )


def _replay(
    path: Path, row_filter: RowFilter, spurious_within_ns: int | None, printer: _Lines
) -> int:
    from umtrace.pipeline import offline
    from umtrace.present.terminal import complain
    from umtrace.recording import Recording

    opened = Recording.open(path)
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
                _print((lines.line(row, self._width), *lines.behind_lines(row, self._width)))
        for window, over in found:
            _print_window(window, self._width, over=over, as_json=self._as_json)
        for hang in hangs:
            _print([hang_json(hang)] if self._as_json else lines.hang_lines(hang, self._width))
        sys.stdout.flush()

    def finish(self) -> None:
        """Say what the filter could not decide and what was lost, if anything was."""
        from umtrace.present.heading import loss_text
        from umtrace.stats.unseen import sentences

        for sentence in sentences(self._undecided):
            say(sentence)
        if self._losses is not None and self._losses.lost_anything:
            say(f"losses: {loss_text(self._losses)}")


class _TeardownLines(_Lines):
    """Prints a line per teardown, when no later umount can belong to it."""

    def __init__(self, row_filter: RowFilter, as_json: bool, gap_ns: int, *, live: bool) -> None:
        super().__init__(row_filter, as_json=as_json)
        self._live, self._gap_ns = live, gap_ns
        self._number, self._looked = 0, 0

    @contextmanager
    def opened(self, _run: object = None) -> Iterator[None]:
        """Take rows from now on."""
        from umtrace.teardowns import PATIENCE_NS, Collector

        patience_ns = self._gap_ns + _TAIL_NS if self._live else PATIENCE_NS
        self._collector = Collector(self._gap_ns, patience_ns)
        yield

    def take(self, tick: Tick) -> None:
        """Print what is done by now."""
        self._losses, self._undecided = tick.losses, tick.undecided
        self._print(self._collector.add(tick.rows))
        now = time.time_ns()
        if self._live and now - self._looked >= _LOOK_NS:
            self._looked = now
            self._print(self._collector.done(now))

    def finish(self) -> None:
        """Print the rest, and what was left out."""
        from umtrace.present.teardowns import left_out

        self._print(self._collector.finish())
        for sentence in left_out(self._collector):
            say(sentence)
        super().finish()

    def _print(self, found: Iterable[Done]) -> None:
        from umtrace.present.teardowns import teardown_json, teardown_line
        from umtrace.present.terminal import write

        for done in found:
            for each in done:
                self._number += 1
                event = {"event": "teardown"}
                text = teardown_json(self._number, each, event) if self._as_json else None
                write((text or teardown_line(each, self._width)) + "\n", sys.stdout)
            sys.stdout.flush()


def _print(lines: Iterable[str]) -> None:
    from umtrace.present.terminal import write

    write("".join(f"{line}\n" for line in lines), sys.stdout)


def _print_window(window: EbusyWindow, width: int | None, *, over: bool, as_json: bool) -> None:
    from umtrace.present.ebusy import jsonl, window_lines

    if as_json:
        event = {"event": "ebusy" if over else "ebusy-open"}
        sys.stdout.buffer.write(jsonl(window, event).encode())
    else:
        _print(window_lines(window, width, over=over))
