"""What a command writes to, made ready before the command is imported.

Imports little: from here on the terminal shows that something is going on.
"""

from __future__ import annotations

import os
import sys

from umtrace.cli import working
from umtrace.cli.unfailing import unfailing
from umtrace.cli.whole import whole

#: set while the shell completes a line
_COMPLETE = "_UMTRACE_COMPLETE"


def prepare() -> None:
    """Replace stdout and stderr by what no signal cuts and no full disk stops; begin the line."""
    _open_closed_streams()
    sys.stderr, sys.stdout = unfailing(sys.stderr), whole(sys.stdout)
    if _COMPLETE not in os.environ:
        working.announce()


def _open_closed_streams() -> None:
    """Give nothing to write to where who started us closed it: `umtrace … >&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - light; kept open
