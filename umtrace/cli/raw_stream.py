"""A stream without a buffer over the descriptor of another one."""

from __future__ import annotations

import io
from typing import TextIO


class RawStream(io.RawIOBase):
    """The descriptor of a stream; a subclass says how it is written.

    Raises OSError or ValueError if the stream has none, as under a test runner.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # owns the descriptor
        self._fd = stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()
