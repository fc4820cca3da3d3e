"""One table while it is being written: an open stream that rolls over into Parquet."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from umtrace.recording.layout import parquet_path, stream_path
from umtrace.recording.parquet import write_parquet
from umtrace.recording.stream import StreamReader, StreamWriter
from umtrace.recording.tables import TableKind, chunk_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When rows leave memory, and when a chunk is full."""

    pending_rows: int = 16384
    pending_s: float = 0.5  #: longest time a row waits in memory while ``append`` is called
    chunk_rows: int = 524288
    chunk_bytes: int = 32 << 20
    chunk_s: float = 900.0


class TableWriter:
    """Coalesces small batches, appends them to the open chunk, converts full chunks.

    Every method that writes raises OSError; what was flushed before stays readable.
    """

    def __init__(
        self, directory: Path, kind: TableKind, limits: Limits, *, first_index: int = 1
    ) -> None:
        self.kind = kind
        self.rows = 0  #: rows appended so far, pending ones included
        self.after: TableWriter | None = None  #: what must be on disk before these rows are
        self._directory = directory
        self._limits = limits
        self._index = first_index
        self._written = 0  #: rows in all chunks, the open one included
        self._pending: list[pa.RecordBatch] = []
        self._pending_since = 0.0
        self._stream: StreamWriter | None = None
        self._opened = 0.0

    def append(self, batch: pa.RecordBatch) -> None:
        """Take a batch; ValueError when its schema is not the table's."""
        if not batch.schema.equals(self.kind.schema):
            raise ValueError(f"rows for {self.kind.name} have another schema")
        if not batch.num_rows:
            return
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending.append(batch)
        self.rows += batch.num_rows
        if self.rows - self._written >= self._limits.pending_rows:
            self.flush()

    def tick(self) -> None:
        """Flush what waited long enough, and roll over a chunk that is old or full."""
        now = time.monotonic()
        if self._pending and now - self._pending_since >= self._limits.pending_s:
            self.flush()
        elif self._stream and now - self._opened >= self._limits.chunk_s:
            self._roll()

    def flush(self) -> None:
        """Hand every row to the operating system."""
        if not self._pending:
            return
        if self.after:
            self.after.flush()
        if self._stream and self._stream.finished:
            self._roll()  # an earlier one was interrupted
        table = pa.Table.from_batches(self._pending, self.kind.schema)
        stream = self._stream or self._open()
        for batch in table.combine_chunks().to_batches():
            stream.write(batch)
        self._pending.clear()
        self._written = self.rows
        if self._is_full(stream):
            self._roll()

    def close(self) -> None:
        """Flush and convert; a table without rows becomes one empty Parquet file."""
        self.flush()
        if self._stream:
            self._roll()
        elif not self.rows:
            path = parquet_path(self._directory, self.kind.name, self._index)
            write_parquet(path, self.kind, chunk_schema(self.kind, 0), ())

    @property
    def removed(self) -> str:
        """Return the name of the open chunk if somebody deleted it, else nothing."""
        return self._stream.path.name if self._stream and self._stream.removed else ""

    def abandon(self) -> None:
        """Let go of the open chunk as it is."""
        if self._stream:
            self._stream.abandon()

    def _open(self) -> StreamWriter:
        path = stream_path(self._directory, self.kind.name, self._index)
        self._stream = StreamWriter(path, chunk_schema(self.kind, self._written))
        self._opened = time.monotonic()
        return self._stream

    def _is_full(self, stream: StreamWriter) -> bool:
        limits = self._limits
        age = time.monotonic() - self._opened
        return (
            stream.rows >= limits.chunk_rows
            or stream.size >= limits.chunk_bytes
            or age >= limits.chunk_s
        )

    def _roll(self) -> None:
        stream = self._stream
        if stream is None:
            return
        stream.finish()
        reader = StreamReader(stream.path)
        path = parquet_path(self._directory, self.kind.name, self._index)
        try:
            rows = write_parquet(path, self.kind, reader.schema, reader.batches())
        finally:
            reader.close()
        if rows != stream.rows:
            path.unlink()
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(stream.path))
        stream.path.unlink()
        self._stream = None
        self._index += 1
        pa.default_memory_pool().release_unused()
