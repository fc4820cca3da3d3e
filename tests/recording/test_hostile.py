"""Recordings that a stranger made: what is in them is named, and nothing hangs or crashes."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.recording import samples
from umtrace.cli.main import run
from umtrace.recording import Recording
from umtrace.recording.apart import DIED, ApartReader
from umtrace.recording.tables import EVENTS, UMOUNTS, chunk_schema

HANGS = 120  # seconds: no measurement, nothing here waits


def umtrace(*args):
    """Run the command in a process of its own, which a hang or a crash ends alone."""
    command = [sys.executable, "-m", "umtrace", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def fifo(path):
    os.mkfifo(path)


def link(target):
    def make(path):
        path.symlink_to(target)

    return make


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(path.parent)  # its name is short, that of the directory may be long
        try:
            bound.bind(path.name)
        finally:
            os.chdir(here)


ODD = {
    "fifo": fifo,
    "zero": link("/dev/zero"),
    "tty": link("/dev/tty"),
    "link to a file": link("/etc/passwd"),
    "dangling": link("nowhere"),
    "socket": unix_socket,
    "directory": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", [".lock", "meta.json", "events-00001.arrows", "umounts-00001"])
def test_what_is_no_file_is_named_and_waited_for_by_nobody(tmp_path, capsys, name, odd):
    if name.endswith("arrows") or name == ".lock":
        path = samples.cut_short(tmp_path / "r")
    else:
        path = samples.write(tmp_path / "r")
        name = name if name == "meta.json" else name + ".parquet"
    (path / name).unlink()
    ODD[odd](path / name)
    report = run(["report", str(path)])
    repair = run(["repair", str(path)])
    said = capsys.readouterr()
    if name == ".lock":
        assert (report, repair) == (0, 5)
        assert "repair" in said.out + said.err
        assert f"{path}: .lock is no regular file; remove it" in said.err
    elif name == "meta.json":
        assert (report, repair) == (5, 5)
        assert f"{path}: not a recording" in said.err
    elif odd == "directory" and name.endswith("arrows"):
        assert (report, repair) == (0, 0)  # such a directory is nobody's chunk
    else:
        assert (report, repair) == (5, 5)
        assert "is no regular file" in said.out or odd == "directory"


@pytest.mark.parametrize("name", ["events-00001.arrows.damaged", "meta.json.tmp", "x.arrows.tmp"])
@pytest.mark.parametrize("odd", ["fifo", "zero"])
def test_a_repair_does_not_wait_where_it_writes(tmp_path, capsys, name, odd):
    path = samples.cut_short(tmp_path / "r")
    with (path / "events-00001.arrows").open("ab") as file:
        file.write(b"half a message")
    ODD[odd](path / name)
    assert run(["repair", str(path)]) == 0
    assert "cut short" in capsys.readouterr().out
    assert stat.S_ISREG(os.lstat(path / "meta.json").st_mode)


def crashing(file):
    """Change two bytes of a stream's schema so that Arrow follows it to nowhere."""
    whole = file.read_bytes()
    for at in range(40, 2000):
        data = bytearray(whole)
        data[29], data[at] = 32, 26
        file.write_bytes(data)
        reader = ApartReader(file)
        if reader.schema is None and reader.why == DIED:
            return
    pytest.skip("this Arrow survives what others crash of")


def test_bytes_that_crash_arrow_are_named_as_damage(tmp_path):
    path = samples.cut_short(tmp_path / "r")
    crashing(path / "events-00001.arrows")
    code, said = umtrace("report", path)
    assert (code, DIED in said) == (5, True)
    code, said = umtrace("repair", path)
    assert (code, DIED in said) == (5, True)
    assert "events-00001.arrows.damaged" in said
    assert umtrace("report", path)[0] == 0


def test_bytes_that_crash_arrow_do_nothing_in_a_finished_chunk(tmp_path):
    path = samples.write(tmp_path / "r")
    file = path / "events-00001.parquet"
    data = bytearray(file.read_bytes())
    at = data.index(b"ARROW:schema")
    for place in range(at + 20, at + 120):  # base64 of the same flatbuffer
        data[place] = ord("B")
    file.write_bytes(data)
    code, said = umtrace("report", path)
    assert code == 0, said
    assert samples.event_numbers(Recording.open(path)) == list(range(100))


def swapped(kind):
    fields = list(chunk_schema(kind, 0))
    return {
        "another type": [f.with_type(pa.int16()) if f.type == pa.uint32() else f for f in fields],
        "text": [pa.field(f.name, pa.string()) for f in fields],
        "dictionary": [pa.field(f.name, pa.dictionary(pa.int8(), f.type)) for f in fields],
        "extension": [pa.field(f.name, pa.opaque(f.type, "x", "y")) for f in fields],
        "nested": [pa.field(f.name, pa.list_(f.type)) for f in fields],
        "twice": [*fields, fields[0]],
        "none": [],
    }


@pytest.mark.parametrize("kind", [EVENTS, UMOUNTS], ids=lambda kind: kind.name)
@pytest.mark.parametrize("how", swapped(EVENTS))
def test_a_schema_that_parses_but_is_wrong_is_set_aside(tmp_path, capsys, kind, how):
    path = samples.cut_short(tmp_path / "r")
    schema = pa.schema(swapped(kind)[how])
    with pa.ipc.new_stream(path / f"{kind.name}-00001.arrows", schema) as out:
        out.write_table(schema.empty_table())
        if how != "twice":
            columns = [pa.nulls(3, f.type) for f in schema]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    assert run(["report", str(path)]) == 5
    assert run(["repair", str(path)]) == 5
    assert f"{kind.name}-00001.arrows: unreadable, kept as" in capsys.readouterr().out
    assert run(["report", str(path)]) == 0


def test_an_open_chunk_of_the_other_byte_order_is_no_traceback(tmp_path, capsys):
    path = samples.cut_short(tmp_path / "r")
    file = path / "umounts-00001.arrows"
    whole = file.read_bytes()
    for at in range(8, 200):
        if whole[at : at + 2] == b"\x00\x00":
            file.write_bytes(whole[:at] + b"\x01" + whole[at + 1 :])
            assert run(["report", str(path)]) in (0, 5)
    capsys.readouterr()
    assert run(["repair", str(path)]) in (0, 5)


def rewritten(path, table, change):
    file = path / f"{table}-00001.parquet"
    found = change(pq.read_table(file))
    pq.write_table(found, file, compression="zstd", dictionary_pagesize_limit=1 << 30)
    return path


def replaced(column, values):
    def change(table):
        at = table.schema.get_field_index(column)
        field = table.schema.field(at)
        return table.set_column(at, field, pa.array(values(len(table)), field.type))

    return change


@pytest.mark.parametrize("value", [-1, -(2**63), 2**63 - 1], ids=["-1", "least", "most"])
@pytest.mark.parametrize("column", ["t_start", "latency_ns", "rcu_ns", "tail_ns", "id"])
def test_what_cannot_be_measured_is_unknown(tmp_path, capsys, column, value):
    path = samples.write(tmp_path / "r")
    rewritten(path, "umounts", replaced(column, lambda n: [value] * n))
    for command in ("report", "hist", "export", "ebusy", "export --to perfetto -o /dev/null -f"):
        name, *options = command.split()
        code = run([name, str(path), *options])
        assert code in ((5,) if command == "export" else (0, 5)), command  # not all read all
        said = capsys.readouterr()
        if command == "export":
            assert f"{column} has values that cannot be, read as unknown" in said.out + said.err
        assert f",{value}," not in said.out
    for kind in ("timeline", "heatmap", "phases"):
        target = tmp_path / f"{kind}.svg"
        assert run(["plot", str(path), "--kind", kind, "-o", str(target)]) in (0, 5)


def test_an_event_of_an_impossible_time_is_left_out(tmp_path):
    path = samples.write(tmp_path / "r")
    times = lambda n: [2**64 - 1, 2**63, *range(1_000_000, 1_000_000 + n - 2)]  # noqa: E731
    rewritten(path, "events", replaced("ts_ns", times))
    rewritten(path, "names", replaced("ts_ns", times))
    recording = Recording.open(path)
    assert samples.event_numbers(recording) == list(range(2, 100))
    assert recording.damaged
    assert "events: records of impossible times, skipped" in recording.problems
    (path / "umounts-00001.parquet").unlink()
    assert run(["ebusy", str(path), "--spurious-within", "1ms"]) == 5


@pytest.mark.parametrize("text", ["[", "{}", "7", '[{"pid": "x"}]', "[" * 9999, '[{"kind": 1}]'])
def test_json_that_umtrace_does_not_write_is_unknown(tmp_path, capsys, text):
    from tests.readers.conftest import written

    path = written(tmp_path / "r", [])
    for table in ("ebusy", "holders"):
        kind = next(k for k in Recording.open(path)._kinds.values() if k.name == table)
        row = {"class": "held", "begin": 5, "end": 9, "umount_id": 1, "holders": text}
        row |= {"walkers": text, "evidence": text, "details": text, "path": "/m"}
        values = {f.name: [row.get(f.name)] for f in kind.schema}
        found = pa.Table.from_pydict(values, schema=kind.schema)
        pq.write_table(found, path / f"{table}-00001.parquet")
    for command in ("report", "ebusy", "ebusy --json", "html -f -o OUT.html"):
        name, *options = command.replace("OUT", str(tmp_path / "out")).split()
        assert run([name, str(path), *options]) in (0, 5), command
    assert run(["plot", str(path), "--kind", "ebusy", "-o", str(tmp_path / "e.svg")]) == 5
    assert run(["ebusy", str(path), "--spurious-within", "1ms"]) in (0, 5)
    capsys.readouterr()


def test_a_small_file_does_not_take_all_memory(tmp_path):
    path = samples.write(tmp_path / "r")
    long = "/" + "x" * (1 << 19)
    change = replaced("path", lambda n: [long] * n)
    rewritten(path, "umounts", lambda table: pa.concat_tables([change(table)] * 20))
    assert (path / "umounts-00001.parquet").stat().st_size < 1 << 20
    code = (
        "from bench.memory import peak_kib; from umtrace.cli.main import run;"
        f"code = run(['export', {str(path)!r}, '-o', '/dev/null']);"
        "print(code, peak_kib() >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, megabytes = map(int, done.stdout.split())
    assert status == 0
    assert megabytes < 700, "2 GB when it is decoded at once"


def test_a_row_group_larger_than_any_is_refused(tmp_path, capsys):
    path = samples.write(tmp_path / "r")
    nulls = [pa.nulls(3_000_000, field.type) for field in UMOUNTS.schema]
    none = pa.Table.from_arrays(nulls, schema=UMOUNTS.schema)
    pq.write_table(none, path / "umounts-00001.parquet", row_group_size=3_000_000)
    assert run(["report", str(path)]) == 5
    assert "a row group of 3000000 rows" in " ".join(capsys.readouterr().out.split())


def test_sizes_that_no_number_holds(tmp_path):
    path = samples.write(tmp_path / "r")
    for name in ("events", "umounts"):
        column = "seq" if name == "events" else "n_mounts"
        rewritten(path, name, replaced(column, lambda n: np.arange(n) % 7 + 2**31 - 8))
    assert run(["report", str(path)]) == 0
