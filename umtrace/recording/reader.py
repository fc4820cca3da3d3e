"""Read a recording, finished, cut short, or still being written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.activity import NOW
from umtrace.model.errors import DamagedInputError, NotPermittedError, UsageError
from umtrace.model.events import NAME_DTYPE, Array, EventBatch
from umtrace.model.losses import LossReport
from umtrace.recording import columns as convert
from umtrace.recording import layout
from umtrace.recording.chunk_reader import OpenChunk, Query, open_chunks, read_chunk
from umtrace.recording.files import NoRegularFileError, read_regular
from umtrace.recording.meta import FORMAT, Meta, format_of
from umtrace.recording.parquet import ParquetReader, Span, TimeSpan
from umtrace.recording.plausible import within_time
from umtrace.recording.stream import READ_ERRORS, one_line
from umtrace.recording.tables import EVENTS, NAMES, TABLES, UMOUNTS, TableKind

_META_BYTES = 64 << 20  # the names of a million containers


class Recording:
    """A recording opened for reading: only ``meta.json`` is read at first.

    ``problems`` grows, one line each, as damage is met; what is damaged is skipped. ``damaged``
    is True once that cost rows which had been recorded: not what a crash cut short.
    """

    def __init__(self, path: Path, meta: Meta, tables: Sequence[TableKind] = TABLES) -> None:
        self.path = path
        self.meta = meta
        source = f"{path}: " if meta.is_open else f"{path}: repaired: "
        self.problems: list[str] = [source + note for note in meta.notes]
        self.damaged = False
        self._kinds = {kind.name: kind for kind in tables}
        if self.is_open and not self.is_live:
            text = f"{path}: was cut short; `umtrace repair {path}` finishes it"
            self.add_problem(text, lost=False)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, tables: Sequence[TableKind] = TABLES
    ) -> Recording:
        """Open a directory.

        Raises UsageError when nothing is there, NotPermittedError when it may not be
        read, DamagedInputError when it is no recording or of a newer major format.
        """
        meta = read_meta(Path(path))
        if meta.is_open and not layout.is_locked(Path(path)):
            meta = read_meta(Path(path))  # maybe its writer has just closed it
        return cls(Path(path), meta, tables)

    @property
    def losses(self) -> LossReport:
        """Return the losses noted while recording."""
        return self.meta.losses

    @property
    def is_open(self) -> bool:
        """Whether the recording is not finished: being written, or cut short."""
        return self.meta.is_open

    @property
    def is_live(self) -> bool:
        """Whether its writer is alive now."""
        return layout.is_locked(self.path)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the names of all tables that can be read here."""
        return tuple(dict.fromkeys((*self._kinds, *self.meta.tables)))

    def schema(self, table: str, columns: Sequence[str] | None = None) -> pa.Schema:
        """Return the schema of what ``batches`` yields; UsageError as there."""
        return self._query(table, columns, (None, None)).schema

    def batches(
        self, table: str, *, columns: Sequence[str] | None = None, span: Span = (None, None)
    ) -> Iterator[pa.RecordBatch]:
        """Stream a table in the order in which it was written, in batches of at most some MB.

        ``span`` keeps start <= time < end of the table's time column, ns: CLOCK_MONOTONIC
        for events and names, UTC since the epoch for rows. Raises UsageError for a table
        or column that does not exist.
        """
        query = self._query(table, columns, span)
        return (batch for _, batch in self._read(query, None) if batch.num_rows)

    def umounts(
        self, columns: Sequence[str] | None = None, *, span: Span = (None, None)
    ) -> pa.Table:
        """Return the umount rows as one table."""
        schema = self._query(UMOUNTS.name, columns, span).schema
        return pa.Table.from_batches(self.batches(UMOUNTS.name, columns=columns, span=span), schema)

    def event_batches(self) -> Iterator[EventBatch]:
        """Yield the events in their order, each batch with the names it needs or earlier ones."""
        query = self._query(EVENTS.name, None, (None, None))
        # Before the names are listed: a live writer stores a name before its event.
        chunks = open_chunks(self.path, EVENTS.name, self.add_problem)
        names = _NameFeed(self)
        for position, batch in self._read(query, chunks):
            events = self._possible(EVENTS.name, convert.events_to_numpy(batch))
            yield EventBatch(events, names.before(position + batch.num_rows))
        rest = names.before(None)
        if len(rest):
            yield EventBatch(names=rest)

    def _possible(self, table: str, records: Array) -> Array:
        """Return the events or names whose time can be."""
        fits = within_time(records, self.meta.clock.offset_ns)
        if fits.all():
            return records
        self.add_problem(f"{table}: records of impossible times, skipped")
        return records[fits]

    def is_readable(self, table: str) -> bool:
        """Whether every finished chunk of a table opens, by their footers; else a problem."""
        chunks = open_chunks(self.path, table, self.add_problem)
        wrong = [(chunk.name, why) for chunk in chunks if (why := _why_unreadable(chunk))]
        for name, why in wrong:
            self.add_problem(f"{name}: damaged ({why})")
        return not wrong

    def last_time(self, table: str) -> int | None:
        """Return the greatest time in a table, ns, without reading finished chunks."""
        kind = self._kind(table)
        ends: list[int] = []
        for chunk in open_chunks(self.path, table, self.add_problem):
            end = _chunk_end(chunk, kind)
            if end is not None:
                ends.append(end)
        return max(ends, default=None)

    def numbered(self, table: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, batch) of a table."""
        return self._read(self._query(table, None, (None, None)), None)

    def _read(
        self, query: Query, chunks: list[OpenChunk] | None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        name = query.kind.name
        if chunks is None:
            chunks = open_chunks(self.path, name, self.add_problem)
        whole, expected = query.span == (None, None), self.meta.rows.get(name, 0)
        position = 0
        NOW.note(f"reading {name}")
        for chunk in chunks:
            for start, batch in read_chunk(chunk, query, position, self.add_problem):
                if whole and start > position:
                    self.add_problem(f"{name}: {start - position} rows missing before {chunk.name}")
                position = max(position, start + batch.num_rows)
                NOW.note(f"reading {name}", position / expected if expected else None)
                yield start, batch
        NOW.note("computing")
        if whole and position < expected:
            self.add_problem(f"{name}: {expected - position} rows missing at the end")
        elif whole and not chunks and not self.is_open and name in self.meta.tables:
            # Finished, it has a file even without rows; older recordings do not count them.
            self.add_problem(f"{name}: its file is missing")

    def _query(self, table: str, columns: Sequence[str] | None, span: Span) -> Query:
        kind = self._kind(table)
        strangers = [name for name in columns or () if name not in kind.schema.names]
        if strangers:
            known = ", ".join(kind.schema.names)
            raise UsageError(f"no column {strangers[0]!r} in {table}; there are: {known}")
        return Query(kind=kind, columns=columns, span=span, live=self.is_open and self.is_live)

    def _kind(self, table: str) -> TableKind:
        kind = self._kinds.get(table)
        if kind is None and table in self.meta.tables:
            kind = self._kinds[table] = self._described_by_itself(table)
        if kind is None:
            raise UsageError(f"no table {table!r}; there are: {', '.join(self.tables)}")
        return kind

    def _described_by_itself(self, table: str) -> TableKind:
        """Return the kind of a table that only a newer umtrace knows."""
        for chunk in open_chunks(self.path, table, self.add_problem):
            schema = _chunk_schema(chunk)
            if schema is not None:
                return TableKind(name=table, schema=schema, time="")
        return TableKind(name=table, schema=pa.schema([]), time="")

    def add_problem(self, text: str, *, lost: bool = True) -> None:
        """Note what cannot be read, once; ``lost`` where it had been recorded."""
        self.damaged |= lost
        if text not in self.problems:
            self.problems.append(text)


class _NameFeed:
    """Hands out the names in step with the events."""

    def __init__(self, recording: Recording) -> None:
        self._batches = recording.numbered(NAMES.name)
        self._problem = recording.add_problem
        self._pending = np.empty(0, NAME_DTYPE)
        self._at = np.empty(0, np.uint64)
        self._over = False

    def before(self, event: int | None) -> Array:
        """Return the names not given out yet that an event before this number needs; None: all."""
        while not self._over and (event is None or not len(self._at) or self._at[-1] < event):
            self._load()
        count = len(self._at) if event is None else _count_below(self._at, event)
        given, self._pending = self._pending[:count], self._pending[count:]
        self._at = self._at[count:]
        return given

    def _load(self) -> None:
        _, batch = next(self._batches, (0, None))
        if batch is None:
            self._over = True
            return
        try:
            names = convert.names_to_numpy(batch)
        except ValueError as error:
            self._problem(f"names: {batch.num_rows} rows are damaged, skipped ({error})")
            return
        self._pending = np.concatenate([self._pending, names])
        at = np.concatenate([self._at, convert.at_event(batch)])
        self._at = np.maximum.accumulate(at)


def _count_below(sorted_values: npt.NDArray[np.uint64], limit: int) -> int:
    return int(np.searchsorted(sorted_values, np.uint64(limit)))


def read_meta(path: Path) -> Meta:
    """Read ``meta.json``; the errors are those of ``Recording.open``."""
    try:
        inside = set(os.listdir(path))  # noqa: PTH208
        text = _meta_text(path / layout.META) if layout.META in inside else None
    except NoRegularFileError:
        why = f"{layout.META} is no regular file"
        raise DamagedInputError(f"{path}: not a recording: {why}") from None
    except ValueError as error:
        raise DamagedInputError(f"{path}: {layout.META} is damaged: {error}") from None
    except FileNotFoundError:
        raise UsageError(f"{path}: no such recording") from None
    except NotADirectoryError:
        raise DamagedInputError(f"{path}: is a file; a recording is a directory") from None
    except PermissionError:
        raise NotPermittedError(
            f"{path}: permission denied; a recording belongs to who made it, try sudo"
        ) from None
    except OSError as error:
        raise DamagedInputError(f"{path}: cannot be read: {error.strerror}") from None
    if text is None:
        why = f"there is no {layout.META}" if inside else "the directory is empty"
        raise DamagedInputError(f"{path}: not a recording: {why}")
    return _parse(path, text)


def _meta_text(path: Path) -> bytes | None:
    try:
        return read_regular(path, _META_BYTES)
    except FileNotFoundError:  # just now
        return None


def _parse(path: Path, text: bytes) -> Meta:
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004, TRY301
        major, minor = format_of(raw)
    except (ValueError, RecursionError) as error:
        raise DamagedInputError(f"{path}: {layout.META} is damaged: {error}") from None
    if major > FORMAT[0]:
        writer = raw.get("umtrace", "a newer version")
        raise DamagedInputError(
            f"{path}: recording format {major}.{minor} is newer than this umtrace reads "
            f"({FORMAT[0]}.x); use umtrace {writer} or later"
        )
    try:
        return Meta.from_dict(raw)
    except (ValueError, TypeError) as error:
        raise DamagedInputError(f"{path}: {layout.META} is damaged: {error}") from None


def _chunk_schema(chunk: OpenChunk) -> pa.Schema | None:
    if chunk.stream is not None:
        return chunk.stream.schema
    try:
        return ParquetReader(chunk.parquet).schema if chunk.parquet else None
    except READ_ERRORS:
        return None


def _why_unreadable(chunk: OpenChunk) -> str:
    try:
        if chunk.parquet:
            ParquetReader(chunk.parquet)
    except READ_ERRORS as error:
        return one_line(error)
    return ""


def _chunk_end(chunk: OpenChunk, kind: TableKind) -> int | None:
    try:
        if chunk.parquet:
            return ParquetReader(chunk.parquet).last_time(kind.time)
        if chunk.stream:
            times = TimeSpan(kind.time)
            for batch in chunk.stream.batches():
                times.add(batch)
            return times.greatest
    except READ_ERRORS:
        pass
    return None
