"""Finished chunks: Parquet files that appear in one step and carry page checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from umtrace.recording.files import open_for_arrow
from umtrace.recording.layout import replacing
from umtrace.recording.stream import READ_ERRORS, one_line
from umtrace.recording.tables import TableKind
from umtrace.recording.unpack import check_size, footer, unpacked

GROUP_ROWS = 65536

#: File metadata: least and greatest time in the chunk, ns, "MIN,MAX". The column statistics
#: say the same, but pyarrow aborts the process when it looks at damaged ones.
TIME_SPAN = b"umtrace.time_span"

#: Half-open span of the table's time column, ns; None is no limit.
Span = tuple[int | None, int | None]


def write_parquet(
    path: Path, kind: TableKind, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> int:
    """Write a chunk under a temporary name, sync and rename it; return its rows.

    Raises OSError, and leaves nothing behind then.
    """
    with replacing(path) as file:
        return _write(file, kind, schema, batches)


def _write(
    file: BinaryIO, kind: TableKind, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> int:
    import pyarrow.parquet as pq  # noqa: PLC0415 - no start should wait for it

    delta = [name for name in kind.delta if name in schema.names]
    rows = 0
    times = TimeSpan(kind.time)
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED") or None,
        write_page_checksum=True,
    ) as writer:
        for table in _groups(schema, batches):
            writer.write_table(table, row_group_size=GROUP_ROWS)
            rows += table.num_rows
            times.add(table)
        if times.least is not None and hasattr(writer, "add_key_value_metadata"):  # pyarrow 17
            writer.add_key_value_metadata({TIME_SPAN: f"{times.least},{times.greatest}"})
    return rows


class TimeSpan:
    """The least and the greatest time in some batches, ns; None without any."""

    def __init__(self, column: str) -> None:
        self.least: int | None = None
        self.greatest: int | None = None
        self._column = column

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Take rows into account; a table without the column adds nothing."""
        import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

        if self._column not in rows.schema.names:
            return
        times = rows.column(self._column)
        if pa.types.is_timestamp(times.type):
            times = times.cast(pa.int64())
        ends = pc.min_max(times).as_py()
        if ends["min"] is not None:
            self.least = ends["min"] if self.least is None else min(self.least, ends["min"])
            self.greatest = max(ends["max"], self.greatest or ends["max"])


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    pending: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        pending.append(batch.replace_schema_metadata(schema.metadata))
        rows += batch.num_rows
        if rows >= GROUP_ROWS:
            yield pa.Table.from_batches(pending, schema)
            pending, rows = [], 0
    if pending:
        yield pa.Table.from_batches(pending, schema)


class ParquetReader:
    """Reads a finished chunk row group by row group; raises ``READ_ERRORS`` when it cannot open.

    A row group that is damaged is reported and skipped.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - no start should wait for it

        self._name = path.name
        about = pq.ParquetFile(pa.BufferReader(footer(path)))
        self._metadata = about.metadata
        self.schema: pa.Schema = about.schema_arrow
        texts = [field.name for field in self.schema if pa.types.is_string(field.type)]
        self._file = pq.ParquetFile(
            open_for_arrow(path),
            metadata=self._metadata,
            # A text that every row repeats would else take its length for each.
            read_dictionary=texts,
            page_checksum_verification=True,
            pre_buffer=False,
        )

    def batches(
        self,
        columns: Sequence[str],
        span: Span,
        problem: Callable[[str], None],
        time: str = "",
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (row number within the chunk, batch), whole row groups.

        Those outside of the span are left out: all where the chunk's own span says so, else
        each that has no row in it, for which its ``time`` column alone is read.
        """
        present = [name for name in columns if name in self.schema.names]
        offset = 0
        for number in range(self._file.num_row_groups if self._touches(span) else 0):
            if self._may_have(number, time, span):
                yield from self._group(number, offset, present, problem)
            offset += self._metadata.row_group(number).num_rows

    @property
    def num_rows(self) -> int:
        """Return the number of rows that the footer tells."""
        return int(self._metadata.num_rows)

    def last_time(self, time: str) -> int | None:
        """Return the greatest time in the chunk, ns."""
        bounds = self._bounds()
        if bounds:
            return bounds[1]
        times = TimeSpan(time)
        for _, batch in self.batches([time], (None, None), lambda _: None):
            times.add(batch)
        return times.greatest

    def _group(
        self, number: int, offset: int, columns: list[str], problem: Callable[[str], None]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        try:
            check_size(self._metadata.row_group(number))
            for whole in self._file.iter_batches(
                GROUP_ROWS, row_groups=[number], columns=columns, use_threads=False
            ):
                for batch in unpacked(whole):
                    yield offset, batch
                    offset += batch.num_rows
        except READ_ERRORS as error:
            problem(f"{self._name}: row group {number} is damaged, skipped ({one_line(error)})")

    def _may_have(self, number: int, time: str, span: Span) -> bool:
        if span == (None, None) or time not in self.schema.names:
            return True
        times = TimeSpan(time)
        for _, batch in self._group(number, 0, [time], lambda _: None):
            times.add(batch)
        return times.least is None or _overlap((times.least, times.greatest or 0), span)

    def _touches(self, span: Span) -> bool:
        bounds = self._bounds() if span != (None, None) else None
        return bounds is None or _overlap(bounds, span)

    def _bounds(self) -> tuple[int, int] | None:
        text = (self._metadata.metadata or {}).get(TIME_SPAN, b"")
        try:
            least, greatest = text.split(b",")
            return int(least), int(greatest)
        except ValueError:
            return None


def _overlap(bounds: tuple[int, int], span: Span) -> bool:
    start, end = span
    return (start is None or bounds[1] >= start) and (end is None or bounds[0] < end)
