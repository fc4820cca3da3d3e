"""``python -m umtrace`` is the command line."""

from __future__ import annotations

from umtrace.cli import main

main()
