"""Entry point: finds the command, and turns every failure into one line."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from typing import Any

import click

from umtrace.cli import working
from umtrace.cli.first_page import first_page
from umtrace.cli.group import COMMANDS, HELP_OPTIONS, Interrupted, LazyGroup
from umtrace.cli.mistakes import os_text, usage_text
from umtrace.model.errors import UmtraceError, not_installed
from umtrace.present.terminal import clean  # now: later there may be no descriptor to read it by
from umtrace.version import __version__

#: environment variable that shows what an error message leaves out
DEBUG = "UMTRACE_DEBUG"

#: of an ImportError: what glibc says when there is no memory for a library
_NOT_MAPPED = "failed to map segment"


@click.command(cls=LazyGroup, context_settings={"help_option_names": HELP_OPTIONS})
@click.version_option(__version__, "-V", "--version", prog_name="umtrace")
def umtrace() -> None:
    """Record umounts and show where their time goes and what keeps a mount busy.

    Run `umtrace doctor` first: it shows which tiers work on this kernel.
    """


def main() -> int:
    """Run the command line and return the code that the design gives to each failure."""
    try:
        code = run(sys.argv[1:])
    finally:
        working.end()
    gc.freeze()  # or Python's end looks for cycles among all objects of matplotlib, for 0.3 s
    return code


def run(args: list[str]) -> int:
    """Run one command line and return its exit code; never raises."""
    stdout = sys.stdout
    try:
        code: Any = umtrace.main(args, prog_name="umtrace", standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt, Interrupted):
        with contextlib.suppress(ValueError):  # a second Ctrl-C need not be polite
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return _complain("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except SystemExit as stop:
        # click ends so when a pipe closes under a command, having wrapped stdout in something
        # whose name is its own business.
        if sys.stdout is not stdout:
            _silence_stdout()
            return 0
        return stop.code if isinstance(stop.code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        top = error.ctx.command is umtrace
        click.echo(first_page(COMMANDS) if top else error.ctx.get_help())
        return 0
    except Exception as error:
        return _complain(*_explained(error))
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    one_line = clean(" ".join(message.split()))
    if os.environ.get(DEBUG) and sys.exc_info()[0] is not None:
        traceback.print_exc()
    with contextlib.suppress(OSError):  # `run` alone has no stderr that never fails
        click.echo(f"umtrace: {one_line}", err=True)
    return code


def _explained(error: Exception) -> tuple[str, int]:
    """Return the line to print for an error, and the exit status."""
    if isinstance(error, click.ClickException):
        return usage_text(error), error.exit_code
    if isinstance(error, UmtraceError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return os_text(error), 1
    if isinstance(error, ModuleNotFoundError) and (why := not_installed(error)):
        return why, 1
    if _out_of_memory(error):
        return "not enough memory; free some, or raise the limit (ulimit -v)", 1
    return _unexpected(error), 1


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: of Python, of Arrow, or as a library was mapped."""
    if isinstance(error, ImportError):  # the loader's words for mmap(2) that failed
        return _NOT_MAPPED in str(error)
    return isinstance(error, MemoryError)


def _unexpected(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error, please report it: {what} ({DEBUG}=1 shows where)"


def _silence_stdout() -> None:
    # The reader went away (`umtrace trace | head -1`): point stdout at nothing so
    # that the interpreter's own flush at exit does not complain.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
