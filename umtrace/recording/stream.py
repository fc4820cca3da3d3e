"""The open chunk: an Arrow IPC stream that stays readable whenever its writer dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from umtrace.recording.layout import create_private, write_all

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"

#: What pyarrow raises on a file that is not what it should be.
READ_ERRORS = (OSError, EOFError, ValueError, KeyError, TypeError, OverflowError, pa.ArrowException)


def open_file(path: Path, mode: str = "r") -> pa.OSFile:
    """Open a file for Arrow, whatever bytes its name has: as text Arrow takes UTF-8 only."""
    return pa.OSFile(os.fsencode(path), mode)


class StreamWriter:
    """Appends complete messages straight to the file: what ``write`` returned from is safe.

    A message that does not fit (disk full) is cut off again, so that the file ends
    with a complete one; the OSError goes to the caller.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.size = 0  #: bytes of complete messages
        self.rows = 0
        self._fd = create_private(path)
        try:
            self._append(schema.serialize())
        except OSError:
            self.abandon()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch; raises OSError with the file as it was before."""
        self._append(batch.serialize())
        self.rows += batch.num_rows

    def finish(self) -> None:
        """Write the end mark and close; may be called twice."""
        if self._fd >= 0:
            self._append(_END)
            self.abandon()

    @property
    def finished(self) -> bool:
        """Whether nothing more can be appended."""
        return self._fd < 0

    @property
    def removed(self) -> bool:
        """Whether somebody deleted the file: what is written then goes nowhere."""
        return self._fd >= 0 and not os.fstat(self._fd).st_nlink

    def abandon(self) -> None:
        """Close without an end mark, as a killed writer would; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _append(self, message: pa.Buffer | bytes) -> None:
        data = memoryview(message)
        try:
            write_all(self._fd, data)
        except BaseException:  # an interrupt too: half a message would hide what follows
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
                os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += data.nbytes


class StreamReader:
    """Reads the complete messages of a stream as it was when this was made.

    For streams of our own: what a stranger wrote may crash Arrow, see `apart.ApartReader`.
    Later growth is not looked at. ``schema`` is None where even that is unreadable;
    ``torn`` is the number of bytes after the last complete message, valid once
    ``batches`` is exhausted.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._file = open_file(path)
        self.size: int = self._file.size() if size is None else size
        self.readable = 0
        self.rows = 0
        self.why = ""  #: the error that ended the reading, empty at a clean end
        self.schema: pa.Schema | None = None
        try:
            self.schema = pa.ipc.read_schema(pa.ipc.read_message(self._file))
            self.readable = self._file.tell()
        except READ_ERRORS as error:
            self.why = one_line(error)
        if self.readable > self.size:
            self.schema, self.readable = None, 0

    def close(self) -> None:
        """Close the file, which the traceback of an error would keep open."""
        self._file.close()

    @property
    def torn(self) -> int:
        """Return the bytes at the end that cannot be read."""
        return self.size - self.readable

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the complete batches; stops, without raising, at the first damage."""
        while self.schema is not None and self._file.tell() < self.size:
            try:
                batch = self._next()
            except EOFError:  # the end mark
                self.readable = self._file.tell()
                return
            except READ_ERRORS as error:
                self.why = one_line(error)
                return
            self.readable = self._file.tell()
            self.rows += batch.num_rows
            yield batch

    def _next(self) -> pa.RecordBatch:
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self.schema)
        if self._file.tell() > self.size:
            raise ValueError("the rest of it came later")
        batch.validate(full=True)  # offsets that point outside would crash later
        return batch


def one_line(error: BaseException) -> str:
    """Return the gist of a foreign error message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". Detail:")[0][:160]
