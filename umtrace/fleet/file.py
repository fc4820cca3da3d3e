"""A summary as a Parquet file: cells, and what it says about itself in its metadata."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa

from umtrace.fleet import cells
from umtrace.fleet.about import About
from umtrace.model.errors import DamagedInputError
from umtrace.recording.parquet import ParquetReader
from umtrace.recording.stream import READ_ERRORS, one_line

#: key of the file's metadata: an `About` as JSON
ABOUT = b"umtrace.summary"
#: key of the checksum of all cells
CHECKSUM = b"umtrace.checksum"
#: no summary that umtrace writes is larger
MOST_BYTES = 64 << 20

_MOST_ROWS = 1 << 22
_MOST_ABOUT = 1 << 20


def encode(about: About, table: pa.Table) -> bytes:
    """Return the bytes of a summary; equal for equal content."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - a recorder writes one an hour

    plain = pa.schema([field.remove_metadata() for field in cells.SCHEMA])
    table = table.select(plain.names).cast(plain)
    metadata = {ABOUT: about.to_json(), CHECKSUM: cells.checksum(table, plain.names)}
    schema = plain.with_metadata({key: text.encode() for key, text in metadata.items()})
    file = io.BytesIO()
    with pq.ParquetWriter(
        file, schema, compression="zstd", write_page_checksum=True, write_statistics=False
    ) as writer:
        writer.write_table(table.cast(schema))
    return file.getvalue()


class SummaryFile:
    """A summary that was opened: its metadata is read, its cells are not yet.

    Raises
    ------
    DamagedInputError
        It is none, was cut short, or is of a newer major version.
    """

    def __init__(self, path: Path) -> None:
        try:
            if path.stat().st_size > MOST_BYTES:
                raise DamagedInputError(f"a summary of more than {MOST_BYTES >> 20} MB")
            self._reader = ParquetReader(path)
            metadata = self._reader.schema.metadata or {}
        except READ_ERRORS as error:
            raise DamagedInputError(one_line(error)) from None
        if len(metadata.get(ABOUT, b"")) > _MOST_ABOUT or self._reader.num_rows > _MOST_ROWS:
            raise DamagedInputError("it is larger than a summary can be")
        self.about = About.from_json(metadata.get(ABOUT, b"no metadata"))

    def cells(self) -> pa.Table:
        """Return the cells, checked; a column that an older version lacks is null."""
        problems: list[str] = []
        names, found = cells.SCHEMA.names, self._reader.schema
        self._check_types(found)
        try:
            batches = [
                batch
                for _, batch in self._reader.batches(names, (None, None), problems.append)
            ]  # fmt: skip
            if problems:
                raise DamagedInputError(problems[0])
            table = _completed(batches, found)
            cells.check(table)
            there = [name for name in names if name in found.names]
            if cells.checksum(table, there).encode() != (found.metadata or {}).get(CHECKSUM):
                raise DamagedInputError("its checksum does not agree with its cells")
        except READ_ERRORS as error:
            raise DamagedInputError(one_line(error)) from None
        return table

    @staticmethod
    def _check_types(found: pa.Schema) -> None:
        for column in cells.SCHEMA:
            places = found.get_all_field_indices(column.name)
            if len(places) > 1 or (not places and column.name in {"measure", "bucket", "count"}):
                raise DamagedInputError(f"column {column.name} is missing or there twice")
            if places and found.field(places[0]).type != column.type:
                raise DamagedInputError(f"column {column.name} is {found.field(places[0]).type}")


def _completed(batches: list[pa.RecordBatch], found: pa.Schema) -> pa.Table:
    plain = pa.schema([(f.name, f.type) for f in cells.SCHEMA])
    there = pa.schema([f for f in plain if f.name in found.names])
    tables = [pa.Table.from_batches([batch.select(there.names)]).cast(there) for batch in batches]
    table = pa.concat_tables([there.empty_table(), *tables])
    columns = [
        table[f.name] if f.name in there.names else pa.nulls(table.num_rows, f.type) for f in plain
    ]
    return pa.Table.from_arrays(columns, schema=plain)
