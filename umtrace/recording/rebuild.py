"""Replace a whole table in a recording, so that no crash shows it twice or half.

New chunks are numbered after the old ones and written into ``KIND-from-NNNNN.tmp/``;
the rename to ``KIND-from-NNNNN/`` is the moment from which readers take them in place
of all chunks below NNNNN. What follows is housekeeping that can be repeated.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from umtrace.recording import layout
from umtrace.recording.chunk_writer import Limits, TableWriter
from umtrace.recording.meta import encode
from umtrace.recording.place import Place
from umtrace.recording.reader import read_meta
from umtrace.recording.tables import TableKind


def rebuild(
    directory: Path, kind: TableKind, rows: Iterable[pa.RecordBatch], *, at_least: int
) -> int | None:
    """Replace all chunks of a table by these rows; return how many.

    With fewer rows than ``at_least`` all stays as it was; the answer is None.
    """
    old = layout.find_chunks(directory, kind.name)
    first = old[-1].index + 1 if old else 1
    target = layout.swap_path(directory, kind.name, first)
    temporary = target.with_name(target.name + ".tmp")
    temporary.mkdir(mode=0o700)
    try:
        written = _write(temporary, kind, rows, first)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if written < at_least:
        shutil.rmtree(temporary)
        return None
    temporary.rename(target)
    layout.sync_directory(directory)
    finish_swaps(directory, kind.name)
    return written


def rebuild_locked(path: Path, kind: TableKind, rows: Iterable[pa.RecordBatch]) -> None:
    """Replace all chunks of a table of a closed recording, unless somebody else works on it."""
    with Place(path, follow=True) as place:
        lock = layout.acquire_lock(place.inside)
        if lock is None:
            return
        try:
            _rebuild_counted(place.inside, kind, rows)
        finally:
            os.close(lock)


def _rebuild_counted(directory: Path, kind: TableKind, rows: Iterable[pa.RecordBatch]) -> None:
    _count(directory, kind, None)  # first: after a crash the old number would be wrong
    written = rebuild(directory, kind, rows, at_least=0)
    finish_swaps(directory, kind.name)
    _count(directory, kind, written)


def _count(directory: Path, kind: TableKind, rows: int | None) -> None:
    """Write into the metadata how many rows the table has; None: nobody knows."""
    meta = read_meta(directory)
    others = {name: count for name, count in meta.rows.items() if name != kind.name}
    known = others if rows is None else {**others, kind.name: rows}
    layout.replace_file(directory / layout.META, encode(replace(meta, rows=known)))


def _write(directory: Path, kind: TableKind, rows: Iterable[pa.RecordBatch], first: int) -> int:
    table = TableWriter(directory, kind, Limits(), first_index=first)
    try:
        for batch in rows:
            table.append(batch)
        table.close()
    finally:
        table.abandon()
    return table.rows


def finish_swaps(directory: Path, kind: str) -> bool:
    """Move rebuilt chunks in and the replaced ones out; return whether there were any."""
    swaps = layout.find_swaps(directory, kind)
    for first, rebuilt in swaps:
        for chunk in layout.find_chunks(directory, kind):
            for path in (chunk.parquet, chunk.stream):
                if path is not None and path.parent == rebuilt:
                    path.rename(directory / path.name)
        layout.sync_directory(directory)
        layout.remove_chunks_below(directory, kind, first)
        rebuilt.rmdir()
    return bool(swaps)
