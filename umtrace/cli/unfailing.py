"""A stderr that nobody reads, or that is full, ends no command."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from umtrace.cli.raw_stream import RawStream

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Unfailing(RawStream):
    """Passes bytes on as long as they can be written, and drops the rest."""

    def write(self, data: ReadableBuffer, /) -> int:
        with suppress(OSError):
            os.write(self._fd, data)
        return memoryview(data).nbytes


def unfailing(stream: TextIO) -> TextIO:
    """Return a stream like this one whose writes never fail.

    Messages on stderr are for whoever listens. That nobody does must neither end a recording
    early nor change the exit status of a command.
    """
    try:
        raw = _Unfailing(stream)
    except (OSError, ValueError):  # no descriptor, as under a test runner
        return stream
    buffer, encoding = io.BufferedWriter(raw), stream.encoding
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=True)
