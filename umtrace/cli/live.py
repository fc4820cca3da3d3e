"""What the live commands share: the options, attaching a source, and how they are stopped."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import click

from umtrace.cli import working
from umtrace.cli.complete import one_of, tiers
from umtrace.cli.filters import spurious_option
from umtrace.cli.options import Seconds, as_one
from umtrace.model.activity import NOW
from umtrace.model.errors import StoppedError
from umtrace.model.stopping import StopSignals
from umtrace.model.tiers import names

if TYPE_CHECKING:
    from umtrace.pipeline import Until
    from umtrace.sources.base import Source


_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def import_pipeline() -> None:
    """Import what reads events; numpy and Arrow take longer than the probes' compiler is asked."""
    _give_back_memory()  # before anything else imports Arrow
    from umtrace import pipeline  # noqa: F401


def _give_back_memory() -> None:
    """Let Arrow allocate with malloc: its own pool keeps what a burst of umounts once needed.

    After 26,000 umounts a recorder has 128 MiB resident so, 156 MiB otherwise. Arrow looks at
    the variable once; the recorded command must not inherit it. A value already set is kept.
    """
    if _POOL in os.environ:
        return
    os.environ[_POOL] = "system"
    try:
        import pyarrow as pa

        pa.default_memory_pool()
    finally:
        del os.environ[_POOL]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live command traces."""

    duration: float | None  #: seconds; None: until a signal
    tier: str
    probes: str  #: full, light, adaptive
    spurious_within_ns: int


live_options = as_one(
    "live",
    LiveOptions,
    click.option(
        "-d",
        "--duration",
        metavar="TIME",
        type=Seconds(),
        help="Stop TIME after the probes were attached, such as 10s or 1m.",
    ),
    click.option(
        "--tier",
        shell_complete=one_of(tiers),
        default="auto",
        show_default=True,
        metavar="TIER",
        help=f"Use this tier: auto, {', '.join(names())}.",
    ),
    click.option(
        "--probes",
        type=click.Choice(["full", "light", "adaptive"]),
        default="full",
        show_default=True,
        help="All probes (full); a few, to leave on all the time (light: fentry and kprobe; "
        "docs/probes.md says what rows then lack; ftrace only leaves path walks out); or path "
        "walks only while a mount is busy (adaptive: fentry; others leave them out). Tiers "
        "without function probes ignore this.",
    ),
    spurious_option,
)


calibration_option = click.option(
    "--calibration/--no-calibration",
    default=True,
    show_default=True,
    help="Measure how long a normal RCU grace period takes on this host, every 3 s by "
    "membarrier(2), for `umtrace whatif`. docs/whatif.md has the cost.",
)


@contextmanager
def attached(
    live: LiveOptions, signals: StopSignals, say: Callable[[str], None]
) -> Iterator[Source]:
    """Attach a source, and say why it is not what was asked for; closed in the end.

    Raises
    ------
    StoppedError
        A signal came meanwhile.
    """
    from umtrace.sources.select import declined, open_source, remark

    with closing(open_source(live.tier, live.probes, meanwhile=import_pipeline)) as source:
        if signals.last is not None:
            raise StoppedError(signals.last)
        if why := declined(source, live.tier):
            say(f"tier {source.tier} instead: {why}")
        if why := remark(source):
            say(why)
        yield source  # the line goes when the command says that it traces: that takes a while


def show_closing() -> None:
    """Show on the terminal that the run is over: to detach the probes takes a while."""
    NOW.note("closing")
    working.begin()


def stopping(signals: StopSignals, duration: float | None, *, quiet: bool = False) -> Until:
    """Return when a run ends that shows counts on the terminal until then."""
    from umtrace.pipeline import Until

    class Shown(Until):
        def __call__(self) -> bool:
            over = super().__call__()
            if over and not quiet:
                show_closing()
            return over

    return Shown(signals, duration)


@contextmanager
def unwinding() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a command as Ctrl-C does: what it opened is closed.

    A signal that is ignored, as SIGHUP under nohup, stays so.
    """
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in numbers:  # a second one ends the process at once
            signal.signal(other, signal.SIG_DFL)
        with suppress(OSError):  # the terminal may be what went away
            click.echo(f"umtrace: stopped by {signal.Signals(number).name}", err=True)
        sys.exit(128 + number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stdout_is_gone() -> bool:
    """Whether the reader of a pipe on stdout has gone away."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(what & select.POLLERR for _fd, what in poll.poll(0))
