"""`umtrace survey`: what umounts cost on this host, in twenty lines for a mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from umtrace.cli.complete import RecordingPath
from umtrace.cli.live import LiveOptions, attached, calibration_option, live_options, stopping
from umtrace.cli.options import examples, given
from umtrace.cli.status import read_status
from umtrace.model.errors import UsageError
from umtrace.model.stopping import StopSignals
from umtrace.present.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umtrace.survey.host import Host
    from umtrace.survey.live import SurveySink

_SECONDS = 60.0
_LARGEST = 64 << 20

_EPILOG = examples(
    "umtrace survey",
    "umtrace survey --duration 10m > survey.txt",
    "umtrace survey --merge *.txt",
)


@click.command("survey", epilog=_EPILOG)
@click.option(
    "--merge",
    "to_merge",
    is_flag=True,
    help="Print one table of the surveys in FILE…, which may be mails that quote some; - is stdin.",
)
@click.option(
    "--replay",
    "recording",
    metavar="DIR",
    type=RecordingPath(path_type=Path),
    help="Survey the recording DIR instead of this host.",
)
@live_options
@calibration_option
@click.argument("files", metavar="[FILE]…", nargs=-1, type=click.Path(path_type=Path))
@click.pass_context
def command(
    ctx: click.Context,
    *,
    to_merge: bool,
    recording: Path | None,
    live: LiveOptions,
    calibration: bool,
    files: tuple[Path, ...],
) -> int:
    """Print what umounts wait for on this host: 20 lines of ASCII to paste into a mail.

    Trace for a minute, or for --duration. The lines have no path, no name and no exact large
    number. One of them is in how many umounts nobody else held a mount that went: those for which
    the wait for an RCU grace period is not needed. docs/survey.md explains each line.
    """
    for name in ("tier", "probes", "duration", "spurious_within_ns", "calibration"):
        if (recording or to_merge) and given(ctx, name):
            kept = "--merge reads surveys" if to_merge else "--replay reads a recording"
            option = name.removesuffix("_ns").replace("_", "-")
            raise UsageError(f"--{option} is for live umounts; {kept}")
    if to_merge or files:
        return _merge(files, to_merge=to_merge, recording=recording)
    if recording is not None:
        return _replay(recording)
    return _live(live, calibration=calibration)


def _live(live: LiveOptions, *, calibration: bool) -> int:
    seconds = _SECONDS if live.duration is None else live.duration
    with StopSignals() as signals, attached(live, signals, say) as source:
        from umtrace.pipeline import run
        from umtrace.pipeline.calibration import Calibration
        from umtrace.present.progress import Progress
        from umtrace.survey.host import this_host
        from umtrace.survey.live import SurveySink

        sink, progress, gauge = SurveySink(), Progress(), Calibration(wanted=calibration)

        def start() -> None:
            progress.begin(f"tracing for {seconds:g} s (tier {source.tier}); Ctrl-C ends it")

        totals = run(
            source,
            [gauge, sink, progress],
            until=stopping(signals, seconds),
            on_ready=start,
            spurious_within_ns=live.spurious_within_ns,
        )
        progress.clear()
        host = this_host(tier=source.tier, seconds=totals.seconds)
    sink.normal_gp_ns = gauge.lengths_ns
    _print(host, sink, unseen="not seen in this tier")
    if not totals.rows:
        say("no umount was seen; trace for longer, with --duration")
    return 0


def _replay(path: Path) -> int:
    from umtrace.pipeline import offline
    from umtrace.present.heading import lasted_ns
    from umtrace.present.terminal import complain
    from umtrace.present.units import NS_PER_S
    from umtrace.query.normal_gp import measured
    from umtrace.recording import Recording
    from umtrace.survey.host import recorded_host
    from umtrace.survey.live import SurveySink

    opened, sink = Recording.open(path), SurveySink()
    for tick in offline.replay(opened):
        sink.take(tick)
    meta = opened.meta
    sink.normal_gp_ns = measured(meta).lengths_ns
    took_ns = lasted_ns(meta)
    host = recorded_host(
        kernel=meta.kernel,
        rcu=meta.extra.get("rcu"),
        tier=meta.tier,
        seconds=None if took_ns is None else took_ns / NS_PER_S,
        version=meta.umtrace,
    )
    _print(host, sink, unseen="not in this recording")
    complain(opened.problems)
    return read_status(opened)


def _print(host: Host, sink: SurveySink, *, unseen: str) -> None:
    from umtrace.survey.text import lines

    found = lines(
        host,
        sink.counts,
        sink.verdicts,
        sink.losses,
        unseen=unseen,
        normal_gp_ns=sink.normal_gp_ns,
    )
    click.echo("\n".join(found))


def _merge(files: Sequence[Path], *, to_merge: bool, recording: Path | None) -> int:
    from umtrace.survey.merge import read_surveys, table

    if not to_merge:
        raise UsageError(f"FILE is for --merge: umtrace survey --merge {files[0]}")
    if recording is not None:
        raise UsageError("--merge reads surveys; --replay reads a recording: give one of them")
    if not files:
        raise UsageError("--merge needs the files of the surveys")
    surveys = [each for path in files for each in read_surveys(_text_of(path), str(path))]
    click.echo("\n".join(table(surveys)))
    return 0


def _text_of(path: Path) -> str:
    with click.open_file(str(path), "rb") as file:  # - is stdin
        data: bytes = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(f"{path}: larger than 64 MiB; that is no survey")
    return data.decode("utf-8", "replace")
