"""The command line: one module per command, imported only when it runs."""

from __future__ import annotations

from umtrace.cli.main import main

__all__ = ["main"]
