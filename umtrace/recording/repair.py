"""Finish a recording that was cut short: save what is readable, keep aside what is not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from umtrace.model.errors import UsageError
from umtrace.model.events import EventBatch
from umtrace.recording import layout
from umtrace.recording.apart import ApartReader
from umtrace.recording.files import open_regular, read_regular
from umtrace.recording.meta import encode
from umtrace.recording.parquet import ParquetReader, write_parquet
from umtrace.recording.place import Place
from umtrace.recording.reader import Recording
from umtrace.recording.rebuild import finish_swaps, rebuild
from umtrace.recording.stream import READ_ERRORS, one_line
from umtrace.recording.tables import EVENTS, TABLES, UMOUNTS, TableKind, check_schema

#: what Arrow raises on a table that is none of ours; an OSError is the disk's
_NOT_OURS = (ValueError, KeyError, TypeError, NotImplementedError, OverflowError)
_LONG_TAIL = 64 << 20
Recorrelate = Callable[[Iterator[EventBatch]], Iterable[pa.RecordBatch]]


@dataclass(slots=True, kw_only=True)
class RepairReport:
    """What a repair did; all lists empty and ``changed`` false when nothing was to do."""

    path: Path
    changed: bool = False
    converted: list[str] = field(default_factory=list)  #: open chunks that are Parquet now
    rows_kept: int = 0  #: rows of those chunks
    bytes_lost: int = 0  #: bytes in them that could not be read
    aside: list[str] = field(default_factory=list)  #: files kept as ``*.damaged``
    notes: list[str] = field(default_factory=list)  #: one line per thing lost or odd
    damaged: bool = False  #: rows that had been recorded cannot be read: not what a crash cut short
    missing: list[str] = field(default_factory=list)  #: rows that nobody can bring back
    rows_rebuilt: int | None = None  #: umount rows worked out again; None: left as they were


def repair(
    path: str | os.PathLike[str],
    recorrelate: Recorrelate | None = None,
    *,
    tables: Sequence[TableKind] = TABLES,
) -> RepairReport:
    """Make a recording that was cut short a closed one; harmless on a closed one.

    ``recorrelate`` turns the events into umount rows anew: those of operations in flight
    at the end are in the events only. It is not asked when events are missing.

    Raises what ``Recording.open`` raises, UsageError while its writer lives, and OSError,
    naming the directory, when the disk fails; it can then be run again.
    """
    recording = Recording.open(path, tables=tables)
    directory = recording.path
    with layout.naming(directory), Place(directory, follow=True) as place:
        lock = layout.acquire_lock(place.inside)
        if lock is None:
            raise UsageError(
                f"{directory}: is being written by process {recording.meta.writer_pid}; "
                "stop that first"
            )
        try:
            # Read again: the writer may have closed it between the look and the lock.
            recording = Recording.open(place.inside, tables=tables)
            return _Repair(recording, tables, directory).run(recorrelate)
        finally:
            os.close(lock)


class _Repair:
    def __init__(self, recording: Recording, tables: Sequence[TableKind], directory: Path) -> None:
        self.path = recording.path
        self.meta = recording.meta
        self.report = RepairReport(path=directory)
        self._tables = tables
        known = {kind.name: kind for kind in tables}
        self._kinds = [known.get(name) or _stranger(name) for name in recording.tables]

    def run(self, recorrelate: Recorrelate | None) -> RepairReport:
        self._clean()
        for kind in self._kinds:
            self.report.changed |= finish_swaps(self.path, kind.name)
            for chunk in layout.find_chunks(self.path, kind.name):
                self._chunk(kind, chunk)
        if self.meta.is_open and recorrelate:
            self._rebuild(recorrelate)
        if self.meta.is_open or self.report.notes:
            self._close()
        self._count()
        return self.report

    def _count(self) -> None:
        """Say what is missing of a recording that knows how many rows it had."""
        for kind in self._kinds:
            lost = self.meta.rows.get(kind.name, 0) - _rows(self.path, kind)
            if lost > 0:
                self.report.missing.append(f"{kind.name}: {lost} rows are missing")

    def _clean(self) -> None:
        for path in layout.leftovers(self.path):
            path.unlink()
            self.report.changed = True
        for kind in self._kinds:
            for _, path in layout.find_swaps(self.path, kind.name, unfinished=True):
                shutil.rmtree(path)

    def _chunk(self, kind: TableKind, chunk: layout.Chunk) -> None:
        if chunk.parquet is not None:
            try:
                check_schema(ParquetReader(chunk.parquet).schema, kind)
            except READ_ERRORS as error:
                self._set_aside(chunk.parquet, one_line(error))
            else:
                if chunk.stream is not None:  # Parquet wins
                    chunk.stream.unlink()
                    self.report.changed = True
                return
        if chunk.stream is not None:
            self._stream(kind, chunk.index, chunk.stream)

    def _stream(self, kind: TableKind, index: int, path: Path) -> None:
        self.report.changed = True
        try:
            reader = ApartReader(path)
        except OSError as error:
            self._set_aside(path, one_line(error))
            return
        if reader.schema is None:
            if reader.size:
                self.report.bytes_lost += reader.size
                self._set_aside(path, reader.why)
            else:
                path.unlink()
            return
        try:
            check_schema(reader.schema, kind)
            self._convert(kind, index, path)
        except _NOT_OURS as error:
            self._set_aside(path, one_line(error))
            return
        for _ in reader.batches():
            pass
        if reader.torn:
            self._keep_tail(path, reader)
        path.unlink(missing_ok=True)

    def _convert(self, kind: TableKind, index: int, path: Path) -> None:
        reader = ApartReader(path)
        target = layout.parquet_path(path.parent, kind.name, index)
        rows = write_parquet(target, kind, reader.schema, reader.batches())
        if not rows:
            target.unlink()
            return
        self.report.converted.append(path.name)
        self.report.rows_kept += rows

    def _keep_tail(self, path: Path, reader: ApartReader) -> None:
        if reader.torn > _LONG_TAIL:  # not into memory: the whole file stays
            kept = _free_name(path)
            path.rename(kept)
        else:
            with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor
                file.seek(reader.readable)
                tail = file.read(reader.torn)
            kept = _free_name(path, tail)
            layout.replace_file(kept, tail)
        self.report.bytes_lost += reader.torn
        self.report.aside.append(kept.name)
        self.report.notes.append(
            f"{path.name}: cut short: {reader.rows} rows kept, "
            f"last {reader.torn} bytes unreadable, kept as {kept.name}"
        )

    def _set_aside(self, path: Path, why: str) -> None:
        kept = _free_name(path)
        path.rename(kept)
        self.report.damaged = True
        self.report.changed = True
        self.report.aside.append(kept.name)
        self.report.notes.append(f"{path.name}: unreadable, kept as {kept.name} ({why})")

    def _rebuild(self, recorrelate: Recorrelate) -> None:
        recording = Recording(self.path, self.meta, self._tables)
        stored = _holes(recording, EVENTS)
        if stored is None:
            self.report.notes.append("events are missing: the umount rows were left as they were")
            return
        known = recording.umounts(["id"]).num_rows
        if known and not stored:
            return  # rows only were recorded
        rows = recorrelate(recording.event_batches())
        self.report.rows_rebuilt = rebuild(self.path, UMOUNTS, rows, at_least=known)
        if self.report.rows_rebuilt is None:
            self.report.notes.append(
                "fewer umounts in the events than rows: rows left as they were"
            )
        self.report.changed = True

    def _close(self) -> None:
        meta = self.meta
        end = _end_ns(Recording(self.path, meta, self._tables)) if meta.is_open else meta.end_ns
        notes = (*meta.notes, *self.report.notes)
        rows = meta.rows or {kind.name: _rows(self.path, kind) for kind in self._kinds}
        closed = replace(meta, state="closed", end_ns=end, notes=notes, rows=rows)
        layout.replace_file(self.path / layout.META, encode(closed))
        self.report.changed = True


def _stranger(name: str) -> TableKind:
    """Stand for a table of a newer minor version: its chunks describe themselves."""
    return TableKind(name=name, schema=pa.schema([]), time="")


def _holes(recording: Recording, kind: TableKind) -> int | None:
    """Return the rows of a table; None when some are missing or damaged."""
    before = len(recording.problems)
    rows: int = sum(batch.num_rows for batch in recording.batches(kind.name))
    return rows if len(recording.problems) == before else None


def _rows(directory: Path, kind: TableKind) -> int:
    """Return the rows of a table that was just repaired: all its chunks are finished."""
    chunks = layout.find_chunks(directory, kind.name)
    return sum(ParquetReader(chunk.parquet).num_rows for chunk in chunks if chunk.parquet)


def _end_ns(recording: Recording) -> int:
    """Return when the last thing recorded happened, CLOCK_REALTIME."""
    event = recording.last_time(EVENTS.name)
    if event is not None:
        return event + recording.meta.clock.offset_ns
    row = recording.last_time(UMOUNTS.name)
    return row if row is not None else recording.meta.start_ns or time.time_ns()


def _holds(path: Path, content: bytes | None) -> bool:
    try:
        return content is not None and read_regular(path, len(content)) == content
    except (OSError, ValueError):
        return False


def _free_name(path: Path, content: bytes | None = None) -> Path:
    """Return ``path.damaged``, or a numbered one when that is taken by other content."""
    candidate = path.with_name(path.name + ".damaged")
    number = 1
    while os.path.lexists(candidate) and not _holds(candidate, content):
        number += 1
        candidate = path.with_name(f"{path.name}.{number}.damaged")
    return candidate
