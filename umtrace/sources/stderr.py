"""Keeps what C libraries write to stderr out of the user's sight until it matters.

bcc prints clang's and the verifier's output straight to the descriptor: hundreds of
lines where one is wanted.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

SHOW = "UMTRACE_DEBUG"


class Captured:
    """The text that was held back."""

    def __init__(self) -> None:
        self.text = ""

    @property
    def last_line(self) -> str:
        """Return the last line that says something, the verifier's statistics aside."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        telling = [line for line in lines if not line.startswith(("processed ", "HINT"))]
        return telling[-1] if telling else ""


@contextmanager
def held_back() -> Iterator[Captured]:
    """Hold back the process's stderr inside the block; UMTRACE_DEBUG=1 lets it through."""
    captured = Captured()
    if os.environ.get(SHOW):
        yield captured
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield captured
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            captured.text = file.read().decode(errors="replace")
