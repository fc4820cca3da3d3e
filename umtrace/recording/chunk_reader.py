"""Read one chunk, Parquet or open stream; what cannot be read is named, not raised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from umtrace.recording.apart import ApartReader
from umtrace.recording.layout import Chunk, find_chunks, parquet_path
from umtrace.recording.parquet import ParquetReader, Span
from umtrace.recording.plausible import plausible
from umtrace.recording.stream import READ_ERRORS, one_line
from umtrace.recording.tables import TableKind, check_schema, conform, first_row_of, selected


class Problem(Protocol):
    """Takes a line about what cannot be read; ``lost`` where that had been recorded."""

    def __call__(self, text: str, *, lost: bool = True) -> None:
        """Note it."""


@dataclass(slots=True)
class OpenChunk:
    """A chunk as a reader met it; a stream is opened at once and keeps the size it had."""

    name: str
    parquet: Path | None = None
    stream: ApartReader | None = None
    fallback: Path | None = None  #: the stream of a chunk whose Parquet should win


def open_chunks(directory: Path, kind: str, problem: Problem) -> list[OpenChunk]:
    """Return the chunks of a table; streams are pinned so that a running writer cannot race us."""
    return [_pin(chunk, directory, kind, problem) for chunk in find_chunks(directory, kind)]


def _pin(chunk: Chunk, directory: Path, kind: str, problem: Problem) -> OpenChunk:
    if chunk.parquet is None and chunk.stream is not None:
        try:
            return OpenChunk(chunk.name, stream=ApartReader(chunk.stream))
        except FileNotFoundError:  # the writer has just finished it
            path = parquet_path(directory, kind, chunk.index)
            return OpenChunk(path.name, parquet=path)
        except OSError as error:
            problem(f"{chunk.name}: cannot be read, skipped ({one_line(error)})")
            return OpenChunk(chunk.name)
    return OpenChunk(chunk.name, parquet=chunk.parquet, fallback=chunk.stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to read of a table: columns in order (None: all) and a span of its time column."""

    kind: TableKind
    columns: Sequence[str] | None = None
    span: Span = (None, None)
    live: bool = False  #: a writer is alive: a torn end is its next message

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of the answer."""
        return selected(self.kind, self.columns)

    @property
    def needed(self) -> list[str]:
        """Return the columns to read: the time column is needed to filter."""
        names: list[str] = list(self.schema.names)
        if self.span != (None, None) and self.kind.time not in names:
            names.append(self.kind.time)
        return names


def read_chunk(
    chunk: OpenChunk, query: Query, position: int, problem: Problem
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (row number in the table, batch), unfiltered row numbers of each batch's first row.

    ``position`` is where the chunk starts if it does not say so itself.
    """
    if chunk.parquet is not None:
        try:
            reader = ParquetReader(chunk.parquet)
            check_schema(reader.schema, query.kind)
        except READ_ERRORS as error:
            yield from _instead(chunk, query, position, problem, one_line(error))
            return
        start = first_row_of(reader.schema)
        found = reader.batches(query.needed, query.span, problem, query.kind.time)
        yield from _answer(chunk.name, found, query, position if start is None else start, problem)
    elif chunk.stream is not None:
        yield from _read_stream(chunk.name, chunk.stream, query, position, problem)


def _instead(
    chunk: OpenChunk, query: Query, position: int, problem: Problem, why: str
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read the stream of a chunk whose Parquet is unreadable, where there still is one."""
    if chunk.fallback is None:
        problem(f"{chunk.name}: damaged, skipped ({why})")
        return
    problem(f"{chunk.name}: damaged, read {chunk.fallback.name} instead ({why})", lost=False)
    try:
        stream = ApartReader(chunk.fallback)
    except OSError as error:
        problem(f"{chunk.fallback.name}: cannot be read, skipped ({one_line(error)})")
        return
    yield from _read_stream(chunk.fallback.name, stream, query, position, problem)


def _read_stream(
    name: str, stream: ApartReader, query: Query, position: int, problem: Problem
) -> Iterator[tuple[int, pa.RecordBatch]]:
    if stream.schema is None:
        if stream.size and not query.live:
            problem(f"{name}: damaged, skipped ({stream.why})")
        return
    try:
        check_schema(stream.schema, query.kind)
    except ValueError as error:
        problem(f"{name}: damaged, skipped ({one_line(error)})")
        return
    start = first_row_of(stream.schema)
    yield from _answer(
        name, _numbered(stream), query, position if start is None else start, problem
    )
    if stream.torn and not query.live:
        text = f"{name}: cut short: {stream.rows} rows kept, last {stream.torn} bytes unreadable"
        problem(text, lost=False)


def _numbered(stream: ApartReader) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch in stream.batches():
        yield stream.rows - batch.num_rows, batch


def _answer(
    name: str,
    found: Iterator[tuple[int, pa.RecordBatch]],
    query: Query,
    start: int,
    problem: Problem,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    schema = query.schema
    for offset, batch in found:
        try:
            answer = conform(_within(batch, query), schema)
            answer = plausible(answer, query.kind, lambda text: problem(f"{name}: {text}"))
        except READ_ERRORS as error:
            problem(f"{name}: {batch.num_rows} rows are damaged, skipped ({one_line(error)})")
            continue
        yield start + offset, answer


def _within(batch: pa.RecordBatch, query: Query) -> pa.RecordBatch:
    """Keep the rows inside the span; a row without a time is outside of every span."""
    start, end = query.span
    if start is None and end is None:
        return batch
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    times = batch.column(batch.schema.get_field_index(query.kind.time))
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.int64())
    if start is not None:
        batch, times = _keep(batch, times, pc.greater_equal(times, _limit(start, times)))
    if end is not None:
        batch, times = _keep(batch, times, pc.less(times, _limit(end, times)))
    return batch


def _keep(
    batch: pa.RecordBatch, times: pa.Array, mask: pa.Array
) -> tuple[pa.RecordBatch, pa.Array]:
    return batch.filter(mask), times.filter(mask)


def _limit(value: int, times: pa.Array) -> pa.Scalar:
    least = 0 if times.type == pa.uint64() else -(2**63)
    bounded = np.array([min(max(value, least), 2**63 - 1)], "<i8")
    return pa.Array.from_buffers(times.type, 1, [None, pa.py_buffer(bounded)])[0]
