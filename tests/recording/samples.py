"""Recordings with known content."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa

from umtrace.model.clock import ClockPair
from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE, EventBatch, Kind
from umtrace.model.umounts import SCHEMA
from umtrace.recording import Meta, RecordingWriter

CLOCK = ClockPair(1_000_000, 1_700_000_000_000_000_000)


def meta(**changes):
    given = {"tier": "synthetic", "clock": CLOCK, "start_ns": CLOCK.realtime_ns, **changes}
    return Meta(**given)


def events(first, count):
    """Events numbered in word ``a``, every field used to its edges."""
    out = np.zeros(count, EVENT_DTYPE)
    number = np.arange(first, first + count, dtype="u8")
    out["a"] = number
    out["ts_ns"] = 1_000_000 + number * 1000
    out["mnt"] = np.uint64(2**64 - 1) - number
    out["tid"] = 2**32 - 1
    out["kind"] = Kind.ENTER
    out["cpu"] = 65535
    out["ret"] = -number.astype("i4")
    out["comm"] = np.array([b"umount", b"", b"\xff\xfe\x00x", b"sixteen bytes ok"])[number % 4]
    return out


def names(first, count):
    """One name per event of ``events``."""
    out = np.zeros(count, NAME_DTYPE)
    out["ts_ns"] = events(first, count)["ts_ns"]
    out["tid"] = 2**32 - 1
    for row, number in enumerate(range(first, first + count)):
        text = b"/mnt/%d" % number if number % 7 else b"x" * 232
        out["len"][row] = len(text)
        out["text"][row] = np.void(text.ljust(232, b"\0"))
    return out


def batch(first, count):
    return EventBatch(events(first, count), names(first, count))


def rows(first, count):
    numbers = range(first, first + count)
    values = [
        {
            "id": number,
            "t_start": 1_700_000_000_000_000_000 + number,
            "latency_ns": number * 10,
            "errno": 16 if number % 5 == 0 else 0,
            "path": None if number % 3 == 0 else f"/mnt/ü {number}",
            "complete": True,
        }
        for number in numbers
    ]
    return pa.RecordBatch.from_pylist(values, schema=SCHEMA)


def write(path, *, count=100, per_batch=10, **options):
    """Write a closed recording of ``count`` events, names and rows."""
    with RecordingWriter(path, meta(), **options) as writer:
        for first in range(0, count, per_batch):
            writer.write(batch(first, per_batch), rows(first, per_batch))
            writer.flush()
    return path


def cut_short(path, *, count=100, per_batch=10, **options):
    """Write a recording and stop as a killed process would."""
    writer = RecordingWriter(path, meta(), **options)
    for first in range(0, count, per_batch):
        writer.write(batch(first, per_batch), rows(first, per_batch))
        writer.flush()
    kill(writer)
    return path


def kill(writer):
    for table in writer._tables.values():
        table.abandon()
    os.close(writer._lock)
    writer._closed = True


def event_numbers(recording):
    return [int(n) for part in recording.event_batches() for n in part.events["a"]]


def row_numbers(recording):
    return recording.umounts(["id"]).column("id").to_pylist()
