"""Runs commands as on a terminal of some width, in this process: what they print."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager

from umtrace.cli.main import run


class Terminal(io.StringIO):
    """A terminal without colours."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self):
        return True


@contextmanager
def _on(streams, width):
    before = sys.stdout, sys.stderr, os.environ.get("COLUMNS")
    sys.stdout, sys.stderr = streams
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before[:2]
        if before[2] is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before[2]


def screen(words, width):
    """Return what a command line prints on a terminal, on stdout and stderr, and its status."""
    out, err = Terminal(), Terminal()
    with _on((out, err), width):
        status = run([str(word) for word in words])
    return out.getvalue(), err.getvalue(), status
