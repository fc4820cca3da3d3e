"""The command line: one module per command, imported only when it runs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit; Ctrl-C while it is being imported is one line, too."""
    try:
        from umtrace.cli.main import main as run

        run()
    except KeyboardInterrupt:
        # Nothing is open yet, and what is half imported had better not be torn down.
        os.write(2, b"umtrace: interrupted\n")
        os._exit(130)
    sys.exit(0)  # not reached: it exits by itself


__all__ = ["main"]
