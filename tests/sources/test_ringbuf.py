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


@pytest.mark.parametrize("at_once", [1, 5, 55, 56])
def test_everything_comes_once_and_in_order_over_many_laps(ring, at_once):
    reader = RingReader(ring.fd, SIZE, EVENT_DTYPE)
    for first in range(0, 600, at_once):
        for number in range(first, first + at_once):
            ring.put(number)
        assert numbers(reader) == list(range(first, first + at_once))
    assert numbers(reader) == []
    reader.close()


@pytest.mark.parametrize("before", range(50, 60))
def test_a_record_that_is_not_submitted_ends_the_batch_wherever_it_lies(ring, before):
    reader = RingReader(ring.fd, SIZE, EVENT_DTYPE)
    for number in range(before):
        ring.put(number)
        if number % 20 == 19:
            numbers(reader)
    numbers(reader)
    ring.put(1000)
    ring.put(1001, busy=True)
    ring.put(1002)
    assert numbers(reader) == [1000]
    ring.commit(2)
    assert numbers(reader) == [1001, 1002]
    assert reader.fill == 0
    reader.close()
