"""A stdout that a signal does not cut.

Python's own buffer drops the rest of a long write that a signal interrupted when a part of it was
in the pipe, if the handler of the signal raises nothing (seen in 3.11).
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

from umtrace.cli.raw_stream import RawStream

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Whole(RawStream):
    """Writes all it is given, however often that is interrupted.

    The first error is raised. What Python still has then, and writes at its end, is dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        try:
            while rest and not self._failed:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._failed = True
            raise
        return size


def whole(stream: TextIO) -> TextIO:
    """Return a stream like this one that writes all or raises; without a descriptor, the same."""
    try:
        raw = _Whole(stream)
    except (OSError, ValueError):  # as under a test runner
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
    )
