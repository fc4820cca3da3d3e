"""Recordings: bytes flipped, files cut, swapped and lost, tables of wrong values, odd metadata."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.streams import BUNDLED
from umtrace.cli.main import umtrace
from umtrace.model.errors import UmtraceError
from umtrace.model.events import EventBatch
from umtrace.pipeline.offline import replay
from umtrace.recording import Recording, RecordingWriter
from umtrace.recording.tables import TABLES

_COMMANDS = (
    *("report", "report --by fstype,errno", "report --json", "ebusy", "ebusy --json", "hist"),
    *("export", "export --to jsonl", "export --to perfetto", "repair", "repair", "repair"),
    *("report --errno EBUSY", "ebusy --spurious-within 1us", "diff DIR"),
)
_SELDOM = ("html -f -o OUT", *(f"plot -f -o OUT.svg --kind {k}" for k in ("timeline", "ebusy")))
_ODD_JSON = (
    *(None, True, -1, 0, 2**31, 2**63, 10**30, 1.5, float("inf"), "", "x", "\x1b[31m", []),
    *({}, [1], ["x"], {"x": 1}, [[]], {"monotonic_ns": 5, "realtime_ns": 2**62}, "events"),
)
_ODD_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63))
_ODD_TEXT = ("", "x", "[", "[{}]", "{}", "held", "sync", "\x1b[31m", "\u202e", "ü" * 300, None)


@cache
def _bases() -> tuple[TemporaryDirectory[str], list[Path]]:
    """Return small recordings, finished and cut short."""
    place = TemporaryDirectory(prefix="umtrace-fuzz-")
    made = []
    for name in ("first-look", "lab-ebusy", "lab-6.12"):
        for finished in (True, False):
            target = Path(place.name) / f"{name}-{finished}"
            _shortened(BUNDLED / f"{name}.umt", target, finished=finished)
            made.append(target)
    return place, made


def _shortened(source: Path, target: Path, *, finished: bool) -> None:
    """Copy the first rows of every table of a recording."""
    recording = Recording.open(source)
    writer = RecordingWriter(target, recording.meta)
    events = next(recording.event_batches())
    rows = next(recording.batches("umounts")).slice(0, 30)
    writer.write(EventBatch(events.events[:600], events.names[:60]), rows)
    for table in ("holders", "ebusy"):
        for batch in recording.batches(table):
            writer.append(table, batch.slice(0, 20))
    writer.flush()
    if finished:
        writer.close(losses=recording.losses)
        return
    for table in writer._tables.values():
        table.abandon()
    writer._let_go()


def mutate(rng: random.Random, path: Path) -> None:
    """Change something in a recording."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        files = [file for file in sorted(path.iterdir()) if file.is_file()]
        if files:
            with contextlib.suppress(OSError, ValueError, pa.ArrowException):
                rng.choice(_MUTATIONS)(rng, path, rng.choice(files))


def _flip(rng, _path, file):
    data = bytearray(file.read_bytes())
    # a header or a footer is where the structure is
    near = rng.choice((400, 4000, len(data))) if data else 0
    for _ in range(rng.choice((1, 2, 3, 8))):
        if data:
            at = rng.randrange(min(near, len(data)))
            data[at if rng.random() < 0.5 else -1 - at] = rng.randrange(256)
    file.write_bytes(data)


def _cut(rng, _path, file):
    data = file.read_bytes()
    file.write_bytes(data[: rng.randrange(len(data) + 1)])


def _append(rng, _path, file):
    with file.open("ab") as out:
        out.write(rng.randbytes(rng.randrange(200)))


def _lose(_rng, _path, file):
    file.unlink()


def _swap(rng, path, file):
    other = rng.choice([each for each in path.iterdir() if each.is_file()])
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


def _copy(rng, path, file):
    table, _, rest = file.name.partition("-")
    number = rng.choice(("00001", "00002", "00009", "100000"))
    suffix = rng.choice((".parquet", ".arrows", rest[5:]))
    other = rng.choice((table, "events", "umounts", "ebusy", "names", "holders", "extra"))
    shutil.copy(file, path / f"{other}-{number}{suffix}")


def _meta(rng, path, _file):
    raw = json.loads((path / "meta.json").read_text())
    place = raw
    while True:
        key = rng.choice(list(place) or [""]) if isinstance(place, dict) else None
        if key is None:
            break
        if isinstance(place.get(key), dict) and place[key] and rng.random() < 0.6:
            place = place[key]
            continue
        place[key] = rng.choice(_ODD_JSON)
        break
    (path / "meta.json").write_text(json.dumps(raw))


def _values(rng, path, file):
    """Write a table again with wrong values, as a finished or an open chunk."""
    table = file.name.partition("-")[0]
    kind = next((kind for kind in TABLES if kind.name == table), None)
    if kind is None:
        return
    if file.suffix == ".parquet":
        found = pq.read_table(file)
    else:
        found = pa.ipc.open_stream(file.read_bytes()).read_all()
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.randrange(len(found.schema))
        found = found.set_column(at, found.schema.field(at), _odd_column(rng, found, at))
    if rng.random() < 0.3:
        order = rng.sample(range(len(found)), len(found))
        found = found.take(order + order[: rng.randrange(3)])
    if rng.random() < 0.2:
        at = rng.randrange(len(found.schema))
        odd = rng.choice((pa.int8(), pa.string(), pa.float64(), pa.list_(pa.int64())))
        found = found.set_column(at, found.schema.names[at], pa.nulls(len(found), odd))
    if file.suffix == ".parquet":
        pq.write_table(found, file, compression=rng.choice(("zstd", "none", "snappy")))
        return
    with pa.ipc.new_stream(file, found.schema) as out:
        out.write_table(found)


def _odd_column(rng, table, at):
    try:
        column, field = table.column(at).to_pylist(), table.schema.field(at)
    except (SystemError, ValueError):  # an earlier mutation has made it unreadable: it stays so
        return table.column(at)
    values = _ODD_TEXT if pa.types.is_string(field.type) else _ODD_NUMBERS
    if pa.types.is_timestamp(field.type):
        column = table.column(at).cast(pa.int64()).to_pylist()
    for _ in range(rng.choice((1, 3, len(column) or 1))):
        if column:
            column[rng.randrange(len(column))] = rng.choice((*values, None))
    if pa.types.is_boolean(field.type):
        column = [None if value is None else bool(value) for value in column]
    elif pa.types.is_integer(field.type):
        column = [None if value is None else _wrapped(value, field.type) for value in column]
    return pa.array(column, field.type)


def _wrapped(value, arrow_type):
    bits = arrow_type.bit_width
    low = value % 2**bits
    signed = str(arrow_type).startswith("int") and low >= 2 ** (bits - 1)
    return low - 2**bits if signed else low


_MUTATIONS = (_flip, _flip, _cut, _append, _lose, _swap, _copy, _meta, _meta, *(_values,) * 4)


def run(rng: random.Random, folder: Path) -> None:
    """Read one mutated recording with some commands; raises where anything is wrong."""
    path = folder / "r.umt"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(rng.choice(_bases()[1]), path)
    mutate(rng, path)
    commands = rng.sample(_COMMANDS, 3)
    if rng.random() < 0.03:
        commands.append(rng.choice(_SELDOM))
    for command in commands:
        _command(command.replace("DIR", str(path)).replace("OUT", str(folder / "out")), path)
    with contextlib.suppress(UmtraceError):
        for _tick in replay(Recording.open(path)):
            pass


def _command(command: str, path: Path) -> None:
    name, *options = command.split()
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = umtrace.main([name, str(path), *options], standalone_mode=False)
        except (UmtraceError, click.ClickException):
            return
    assert code in (0, 5, None), f"{command} ends with {code}"
    out.flush()
    said = out.buffer.getvalue().decode("utf-8", "replace")
    if name in ("report", "ebusy", "hist") and "--json" not in options:
        assert "-0." not in said, command
