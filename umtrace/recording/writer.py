"""Write a recording while it happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from umtrace.model.clock import ClockPair, date_time
from umtrace.model.errors import UsageError
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.whole_file import check_parent
from umtrace.model.writable import check_writable
from umtrace.recording import layout
from umtrace.recording.chunk_writer import Limits, TableWriter
from umtrace.recording.columns import events_to_arrow, names_to_arrow
from umtrace.recording.meta import Meta, encode
from umtrace.recording.place import Place, PlaceLostError
from umtrace.recording.tables import EVENTS, NAMES, TABLES, UMOUNTS, TableKind

_SLICE_ROWS = 16384  # converted at once: fits a CPU cache
_META_S = 1.0  # meta.json is rewritten at most this often while open
_META_ROOM = 16384  # bytes kept free for a last meta.json, that says that the disk was full


class RecordingWriter:
    """Writes one recording directory; call ``write`` or ``flush`` at least once a second.

    Raises UsageError when the directory cannot be one, OSError naming it when the
    disk fails. After that error, which is raised once, further calls do nothing, and
    everything flushed before it stays readable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        meta: Meta,
        *,
        force: bool = False,
        tables: Sequence[TableKind] = TABLES,
        limits: Limits | None = None,
    ) -> None:
        self.path = Path(path)
        self.failed = False  #: whether the disk refused and later rows were dropped
        self._closed = False
        limits = limits or Limits()
        self._place, self._lock = _claim(self.path, force=force)
        self._tables = _in_order(self._place.inside, tables, limits)
        self.meta = replace(
            meta,
            tables=tuple(self._tables),
            state="open",
            end_ns=None,
            writer_pid=os.getpid(),
        )
        self._meta_written = 0.0
        self._meta_saved: Meta | None = None
        try:
            with self._failing_once():
                self._save_meta(durable=True)
        except OSError:
            self.close()
            raise

    def write(self, batch: EventBatch, rows: pa.RecordBatch | None = None) -> None:
        """Take a batch of events with the umount rows that ended in it; both are copied or kept.

        The event arrays may be reused by the caller afterwards.
        """
        with self._failing_once():
            if len(batch.names):
                at_event = self._tables[EVENTS.name].rows
                self._append(NAMES, names_to_arrow(batch.names, at_event))
            for start in range(0, len(batch.events), _SLICE_ROWS):
                part = batch.events[start : start + _SLICE_ROWS]
                self._append(EVENTS, events_to_arrow(part))
            if rows is not None:
                self._append(UMOUNTS, rows)
            for table in self._live_tables():
                table.tick()

    def append(self, kind: str, rows: pa.RecordBatch) -> None:
        """Take rows of any other table that was given to the constructor."""
        with self._failing_once():
            if not self.failed:
                self._tables[kind].append(rows)

    def flush(self) -> None:
        """Hand everything to the operating system: it survives ``kill -9`` from here on.

        Raises PlaceLostError where the directory is no longer what its name leads to.
        """
        with self._failing_once():
            for table in self._live_tables():
                table.flush()
            self._check_place()

    def update(self, *, losses: LossReport) -> None:
        """Note the losses so far; ``meta.json`` follows within a second or so.

        With whatever else was put into ``meta``; call it again and again.
        """
        if self._closed:
            return
        self.meta = replace(self.meta, losses=losses)
        if self.meta == self._meta_saved or self.failed:
            return
        if time.monotonic() - self._meta_written >= _META_S:
            with self._failing_once():
                self._save_meta(durable=False)

    def close(self, *, losses: LossReport | None = None, clock: ClockPair | None = None) -> None:
        """Turn the open chunks into Parquet and mark the recording as closed; idempotent.

        ``clock`` is the clock pair read at the end. After a disk error the recording
        stays marked as open, so that a repair finishes it.
        """
        if self._closed:
            return
        self._closed = True
        self.meta = replace(self.meta, losses=losses or self.meta.losses, clock_end=clock)
        try:
            if not self.failed:
                with self._failing_once():
                    self._check_place()
                    self._finish(self._live_tables())
        finally:
            self._let_go()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _finish(self, tables: Sequence[TableWriter]) -> None:
        for table in tables:
            table.flush()  # all of it safe before the slow part
        for table in tables:
            table.close()
        rows = {name: table.rows for name, table in self._tables.items()}
        self.meta = replace(self.meta, state="closed", end_ns=time.time_ns(), rows=rows)
        self._save_meta(durable=True)

    def _let_go(self) -> None:
        for table in self._tables.values():
            table.abandon()
        if self.failed:
            with contextlib.suppress(OSError):
                self._save_meta(durable=False)  # the losses at least, and that it stopped
        self._free_room()
        os.close(self._lock)
        self._place.close()

    def _check_place(self) -> None:
        if self.failed:
            return
        lost = self._place.lost()
        removed = [name for table in self._tables.values() if (name := table.removed)]
        if lost is None and removed:
            what = f"{removed[0]} was removed while it was written to; its rows are lost"
            lost = PlaceLostError(self.path, what, gone=True)
        if lost:
            raise lost

    def _append(self, kind: TableKind, rows: pa.RecordBatch) -> None:
        if not self.failed:
            self._tables[kind.name].append(rows)

    def _live_tables(self) -> list[TableWriter]:
        return [] if self.failed else list(self._tables.values())

    def _save_meta(self, *, durable: bool) -> None:
        layout.replace_file(self._place.inside / layout.META, encode(self.meta), durable=durable)
        self._meta_written, self._meta_saved = time.monotonic(), self.meta

    @contextlib.contextmanager
    def _failing_once(self) -> Iterator[None]:
        try:
            with layout.naming(self.path):
                yield
        except OSError as error:
            self._fail(error)
            raise

    def _free_room(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)

    def _fail(self, error: OSError) -> None:
        """Note what happened; raises what is behind it where the directory was removed or moved."""
        self.failed = True
        self._free_room()
        lost = error if isinstance(error, PlaceLostError) else self._place.lost()
        why = (lost or error).strerror
        note = f"writing stopped at {date_time(time.time_ns())} ({why}); nothing later is in it"
        self.meta = replace(self.meta, notes=(*self.meta.notes, note))
        if lost is None:
            return
        if not lost.gone:  # it can still be finished, wherever it is
            with contextlib.suppress(OSError):
                self._finish(list(self._tables.values()))
                lost.kept = self._tables[UMOUNTS.name].rows
        raise lost from None


def _in_order(path: Path, kinds: Sequence[TableKind], limits: Limits) -> dict[str, TableWriter]:
    """Return the tables, tied so that a kill leaves no event nameless and no row eventless.

    A repair works the rows out again from the events.
    """
    tables = {kind.name: TableWriter(path, kind, limits) for kind in kinds}
    events = tables[EVENTS.name]
    for name, table in tables.items():
        if name not in (NAMES.name, EVENTS.name):
            table.after = events
    events.after = tables[NAMES.name]
    return tables


def _claim(path: Path, *, force: bool) -> tuple[Place, int]:
    """Make the directory ours and return it with its lock; an error when it must not be."""
    check_parent(path)
    check_writable(path)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise UsageError(f"{path}: is a file; choose another name for the recording") from None
    with layout.naming(path):
        place = Place(path)
        try:
            place.claim()
            _check_reusable(place, force=force)
            return place, _locked(place)
        except BaseException:
            place.close()
            raise


def _locked(place: Place) -> int:
    lock = layout.acquire_lock(place.inside)
    if lock is None:
        raise UsageError(f"{place.path}: another umtrace is writing this recording")
    try:
        _remove_old(place.inside)
        with contextlib.suppress(OSError):
            os.posix_fallocate(lock, 0, _META_ROOM)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _check_reusable(place: Place, *, force: bool) -> None:
    path, inside = place.path, {entry.name for entry in place.inside.iterdir()}
    if layout.META in inside and not force:
        raise UsageError(f"{path}: holds a recording already; use --force to replace it")
    if layout.META not in inside and inside - {layout.LOCK, layout.META + ".tmp"}:
        raise UsageError(f"{path}: holds other files and no recording; choose another directory")


def _remove_old(inside: Path) -> None:
    for old in reversed(layout.own_files(inside)):  # meta.json last: it marks the directory as ours
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name != layout.LOCK:
            old.unlink()
