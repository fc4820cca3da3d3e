"""The updates for a consumer in a process of its own, and their format in a pipe.

A frame has its length (4 bytes), the length of the counts (4 bytes), the counts as JSON, and one
Arrow record batch each for rows, for windows that are over, and for open windows that changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from umtrace.model.losses import LossReport
from umtrace.model.umounts import SCHEMA as ROWS
from umtrace.model.windows import SCHEMA as WINDOWS
from umtrace.model.windows import EbusyWindow, windows_from_arrow, windows_to_arrow
from umtrace.pipeline.ticks import Missed, Tick

_SIZE = 4


@dataclass(frozen=True, slots=True)
class Update:
    """One tick, for a consumer.

    Attributes
    ----------
    rows : pyarrow.RecordBatch
        Umounts that ended; ``model.umounts.SCHEMA``.
    windows, news : list of EbusyWindow
        EBUSY windows that are over, and open ones with a new verdict.
    losses : LossReport
        The losses of the recorder so far.
    missed : Missed
        What this consumer missed so far, because it was too slow.
    """

    rows: pa.RecordBatch
    windows: list[EbusyWindow] = field(default_factory=list)
    news: list[EbusyWindow] = field(default_factory=list)
    losses: LossReport = field(default_factory=LossReport)
    missed: Missed = field(default_factory=Missed)


def encode(tick: Tick, missed: Missed) -> bytes:
    """Return the frame of a tick."""
    windows = (tick.ebusy.windows, tick.ebusy.news)
    parts = [tick.rows.serialize()]
    parts += [windows_to_arrow(some).serialize() if some else b"" for some in windows]
    counts = json.dumps(
        {
            "losses": tick.losses.to_dict(),
            "missed": [missed.ticks, missed.rows, missed.windows],
            "sizes": [len(part) for part in parts],
        }
    ).encode()
    body = b"".join([len(counts).to_bytes(_SIZE, "little"), counts, *map(bytes, parts)])
    return len(body).to_bytes(_SIZE, "little") + body


def decode(body: bytes) -> Update:
    """Return the update of a frame without its length."""
    begin = _SIZE + int.from_bytes(body[:_SIZE], "little")
    counts = json.loads(body[_SIZE:begin])
    parts = []
    for size in counts["sizes"]:
        parts.append(pa.py_buffer(body[begin : begin + size]))
        begin += size
    rows, windows, news = parts
    return Update(
        rows=pa.ipc.read_record_batch(rows, ROWS),
        windows=_windows(windows),
        news=_windows(news),
        losses=LossReport.from_dict(counts["losses"]),
        missed=Missed(*counts["missed"]),
    )


def updates(read: Callable[[int], bytes]) -> Iterator[Update]:
    """Yield updates from a pipe until its other end is closed, without an incomplete frame."""
    while True:
        head = _exactly(read, _SIZE)
        body = _exactly(read, int.from_bytes(head, "little"))
        if not body:
            return
        yield decode(body)


def _windows(part: pa.Buffer) -> list[EbusyWindow]:
    return windows_from_arrow(pa.ipc.read_record_batch(part, WINDOWS)) if part.size else []


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        more = read(size - len(found))
        if not more:
            return b""
        found += more
    return bytes(found)
