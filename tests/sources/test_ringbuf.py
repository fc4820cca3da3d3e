"""The reader against a ring in an ordinary file, written as the kernel writes one."""

from __future__ import annotations

import mmap
import os
import struct

import numpy as np
import pytest

from umtrace.model.events import EVENT_DTYPE
from umtrace.sources.bpf.rings import RingReader

SIZE = mmap.PAGESIZE  # 56 records and 64 bytes: every lap ends in another place
RECORD = 8 + EVENT_DTYPE.itemsize


class Ring:
    """The pages of a ring: consumer, producer, data."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.truncate(self.fd, 2 * mmap.PAGESIZE + SIZE)
        self.map = mmap.mmap(self.fd, 2 * mmap.PAGESIZE + SIZE)
        self.written = 0

    def put(self, number, *, busy=False):
        event = np.zeros(1, EVENT_DTYPE)
        event["ts_ns"], event["comm"] = number, f"n{number}"
        self.write(struct.pack("=II", 64 | busy << 31, 0) + event.tobytes())
        self.map[mmap.PAGESIZE : mmap.PAGESIZE + 8] = struct.pack("=Q", self.written)

    def put_run(self, first, n, *, busy=False):
        """Put events that are one record for the kernel: bpf/emit.h."""
        events = np.zeros(n, [("header", "<u8"), ("event", EVENT_DTYPE)])
        events["header"] = 64
        events["event"]["ts_ns"] = range(first, first + n)
        events["event"]["comm"] = [f"n{number}" for number in range(first, first + n)]
        length = struct.pack("=II", n * RECORD - 8 | busy << 31, 0)
        self.write(length + events.tobytes()[8:])
        self.map[mmap.PAGESIZE : mmap.PAGESIZE + 8] = struct.pack("=Q", self.written)

    def write(self, data):
        for byte in data:
            self.map[2 * mmap.PAGESIZE + self.written % SIZE] = byte
            self.written += 1

    def commit(self, back):
        """Clear the busy bit of the record that lies ``back`` records before the end."""
        at = (self.written - back * RECORD) % SIZE + 2 * mmap.PAGESIZE
        self.map[at : at + 4] = struct.pack("=I", 64)


@pytest.fixture
def ring(tmp_path):
    ring = Ring(tmp_path / "ring")
    yield ring
    os.close(ring.fd)


def numbers(reader):
    events = reader.read()
    assert all(e["comm"].decode() == f"n{e['ts_ns']}" for e in events)
    return events["ts_ns"].tolist()


def move_on(ring, reader, events):
    """Have this many events written and read, so that the next lies elsewhere."""
    for number in range(events):
        ring.put(number)
        if number % 20 == 19:
            numbers(reader)
    numbers(reader)


@pytest.mark.parametrize("at_once", [1, 5, 55, 56])
def test_everything_comes_once_and_in_order_over_many_laps(ring, at_once):
    reader = RingReader(ring.fd, SIZE, EVENT_DTYPE)
    for first in range(0, 600, at_once):
        for number in range(first, first + at_once):
            ring.put(number)
        assert numbers(reader) == list(range(first, first + at_once))
    assert numbers(reader) == []
    reader.close()


@pytest.mark.parametrize("before", range(45, 60))
def test_events_that_are_one_record_are_read_one_by_one(ring, before):
    reader = RingReader(ring.fd, SIZE, EVENT_DTYPE)
    move_on(ring, reader, before)
    ring.put_run(100, 3)
    ring.put_run(200, 5, busy=True)
    ring.put(300)
    assert numbers(reader) == [100, 101, 102]
    ring.commit(6)
    assert numbers(reader) == [200, 201, 202, 203, 204, 300]
    reader.close()


@pytest.mark.parametrize("before", range(50, 60))
def test_a_record_that_is_not_submitted_ends_the_batch_wherever_it_lies(ring, before):
    reader = RingReader(ring.fd, SIZE, EVENT_DTYPE)
    move_on(ring, reader, before)
    ring.put(1000)
    ring.put(1001, busy=True)
    ring.put(1002)
    assert numbers(reader) == [1000]
    ring.commit(2)
    assert numbers(reader) == [1001, 1002]
    assert reader.fill == 0
    reader.close()
