"""The command line: one module per command, imported only when it runs."""

from __future__ import annotations

import os
import sys

_LATER_S = 0.02
_INTERRUPTED = 130
_came: list[int] = []  # each Ctrl-C that was to end the command


def main() -> None:
    """Run the command line and exit; Ctrl-C while it is being imported is one line, too."""
    try:
        sys.unraisablehook = _unraisable
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        from umtrace.cli.streams import prepare

        prepare()  # first of all: the imports below take half of the time that may be silent
        from umtrace.cli.main import main as run

        code = run()
        if signal.getsignal(signal.SIGINT) is _interrupt:
            # While Python ends it runs no handler, and would exit with 0.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if _came and code != _INTERRUPTED:  # dropped on its way, as in an import's lock
            _leave()
    except KeyboardInterrupt:
        _leave()
    sys.exit(code)


def _interrupt(number: int, _frame: object) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def _leave() -> None:
    """Exit at once: nothing is open yet, and what is half imported had better not be torn down."""
    if end := getattr(sys.modules.get("umtrace.cli.working"), "end", None):
        end()  # remove its line from the terminal
    os.write(2, b"umtrace: interrupted\n")
    os._exit(_INTERRUPTED)


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Raise a Ctrl-C again that came where Python drops exceptions, as in an import's lock."""
    if not issubclass(found.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(found)
        return
    import _thread
    import threading

    again = threading.Timer(_LATER_S, _thread.interrupt_main)  # not here, or it is dropped as well
    again.daemon = True
    again.start()


__all__ = ["main"]
