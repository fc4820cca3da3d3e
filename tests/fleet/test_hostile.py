"""Summaries of strangers: damaged, too large, with counts and names that cannot be."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fleet.fleets import record, summarize
from umtrace.fleet import cells
from umtrace.fleet.about import About, host_of, partition_of
from umtrace.fleet.file import ABOUT, CHECKSUM, SummaryFile
from umtrace.fleet.storage import LocalFolder
from umtrace.model.errors import DamagedInputError


@pytest.fixture
def summary(tmp_path):
    record(tmp_path / "rec.umt")
    (place,) = summarize(tmp_path / "rec.umt", tmp_path / "out")
    return tmp_path / "out" / place


def changed(summary, change, about=None):
    """Write the summary anew with another table, or other words about itself."""
    table = pq.read_table(summary)
    metadata = dict(table.schema.metadata)
    if about:
        metadata[ABOUT] = json.dumps(json.loads(metadata[ABOUT]) | about).encode()
    table = change(table)
    names = [name for name in cells.SCHEMA.names if table.column_names.count(name) == 1]
    metadata[CHECKSUM] = cells.checksum(table, names).encode()  # a liar can do that, too
    table = table.replace_schema_metadata(metadata)
    file = io.BytesIO()
    pq.write_table(table, file)
    summary.write_bytes(file.getvalue())
    return summary


def with_column(name, values):
    def change(table):
        at = table.column_names.index(name)
        column = pa.array(values(table[name].to_pylist()), table.schema.field(name).type)
        return table.set_column(at, name, column)

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_column("count", lambda old: [-1] * len(old)),
        with_column("count", lambda old: [n + 1 for n in old]),
        with_column("count", lambda old: [2**60] * len(old)),
        with_column("bucket", lambda old: [b and 8000 for b in old]),
        with_column("bucket", lambda old: [b and -2 for b in old]),
        with_column("measure", lambda old: [None] * len(old)),
        with_column("owner", lambda old: ["x" * 10_000] * len(old)),
        with_column("sum_ns", lambda old: [None] * len(old)),
        lambda table: table.drop_columns("count"),
        lambda table: table.set_column(0, "kernel", pa.array([1] * table.num_rows)),
        lambda table: table.append_column("count", table["count"]),
    ],
)
def test_cells_that_cannot_be_are_damage(summary, change):
    with pytest.raises(DamagedInputError):
        SummaryFile(changed(summary, change)).cells()


def test_a_key_that_is_missing_is_unknown_and_a_new_column_is_left_out(summary):
    def older(table):
        return table.drop_columns("owner").append_column("new", table["count"])

    before = SummaryFile(summary).cells().num_rows
    table = SummaryFile(changed(summary, older, {"summary": "1.7"})).cells()
    assert table.num_rows == before
    assert table["owner"].null_count == before


@pytest.mark.parametrize(
    "about",
    [{"host": 7}, {"host": "x" * 5000}, {"start_ns": -1}, {"hour_ns": 2**70}, {"losses": []},
     {"summary": "2.0"}, {"summary": None}],
)  # fmt: skip
def test_words_that_cannot_be_are_damage(summary, about):
    with pytest.raises(DamagedInputError):
        SummaryFile(changed(summary, lambda table: table, about))


@pytest.mark.parametrize("size", [0, 1, 7, 100, -1, -9])
def test_cut_short_is_damage(summary, size):
    summary.write_bytes(summary.read_bytes()[:size])
    with pytest.raises(DamagedInputError):
        SummaryFile(summary).cells()


def test_changed_bytes_are_damage_or_change_nothing(summary):
    data = summary.read_bytes()
    before = SummaryFile(summary).cells()
    for at in range(4, len(data), 31):
        summary.write_bytes(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :])
        try:
            found = SummaryFile(summary).cells()
        except DamagedInputError:
            continue
        assert found.equals(before)


@pytest.mark.parametrize("host", ["../../etc", "a/b", "..", ".", "", "day=1", "x" * 300, "é\n\0"])
def test_no_host_leads_out_of_the_folder(tmp_path, host):
    about = About(host=host, boot_id="../x", start_ns=1, hour_ns=0)
    parts = about.place.split("/")
    assert len(parts) == 3
    assert not {".", "..", ""} & set(parts)
    assert all(len(part) < 256 for part in parts)
    LocalFolder(tmp_path / "in").put(about.place, b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    if len(host) < 200:
        assert host_of(partition_of(host)) == host


def test_links_and_fifos_are_not_followed(tmp_path, summary):
    import os

    out = tmp_path / "out"
    (out / "host=a").symlink_to("/etc")
    (out / "host=b").mkdir()
    (out / "host=b" / "day=2026-01-01").mkdir()
    os.mkfifo(out / "host=b" / "day=2026-01-01" / "00-1-aaaaaaaa.parquet")
    (out / "host=b" / "day=2026-01-01" / "01-1-aaaaaaaa.parquet").symlink_to(summary)
    assert [file.path for file in LocalFolder(out).files()] == [str(summary.relative_to(out))]


def test_no_path_task_or_user_name_is_in_a_summary(summary):
    table = pq.read_table(summary)
    assert not {"path", "comm", "pid", "mountpoint"} & set(table.column_names)
    text = b"".join(str(value).encode() for row in table.to_pylist() for value in row.values())
    assert b"runc" not in text + summary.read_bytes()
    assert b"rec.umt" not in summary.read_bytes()
