from __future__ import annotations

import time

import pytest

from umtrace.holders import worker as worker_module
from umtrace.holders.worker import AGAIN_NS, MOST_AT_ONCE, ScanWorker
from umtrace.model.arrow import text
from umtrace.model.errors import DamagedInputError
from umtrace.model.holders import (
    Holder,
    HolderScan,
    ScanRequest,
    scans_from_arrow,
    scans_to_arrow,
)


class Clock:
    now = 10**18

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def answer_of(requests):
    return [HolderScan(umount_id=r.umount_id, path=r.path, begin_ns=1, end_ns=2) for r in requests]


def wait_for(worker, count):
    found, deadline = [], time.monotonic() + 5
    while len(found) < count and time.monotonic() < deadline:
        found += worker.answers()
        time.sleep(0.001)
    return found


def request(number, path="/mnt"):
    return ScanRequest(umount_id=number, path=path, mntns=7)


def test_every_request_is_answered(clock):
    worker = ScanWorker(clock, answer_of)
    worker.ask([request(1, "/a"), request(2, "/b")])
    assert worker.pending == {1, 2}
    assert {a.umount_id for a in wait_for(worker, 2)} == {1, 2}
    assert worker.pending == set()
    worker.close()


def test_a_mount_just_looked_at_is_not_looked_at_again(clock):
    worker = ScanWorker(clock, answer_of)
    worker.ask([request(1), request(2)])
    assert (worker.pending, worker.skipped) == ({1}, 1)
    clock.now += AGAIN_NS
    worker.ask([request(3)])
    assert 3 in worker.pending
    worker.close()


def test_a_storm_is_refused_beyond_the_queue(clock):
    worker = ScanWorker(clock, answer_of)
    worker.ask([request(n, f"/{n}") for n in range(MOST_AT_ONCE + 10)])
    assert worker.refused == 10
    worker.close()
    assert len(worker.answers()) == MOST_AT_ONCE


def test_a_failing_look_is_an_answer_too(clock):
    def broken(_requests):
        raise OSError(24, "Too many open files")

    worker = ScanWorker(clock, broken)
    worker.ask([request(1)])
    (answer,) = wait_for(worker, 1)
    assert answer.blind == ("/proc: Too many open files",)
    assert not answer.complete
    worker.close()
    worker.close()


def test_scans_survive_a_recording():
    holder = Holder(kind="fd", pid=1, fd=3, detail="/mnt/ü", seen=5, looks=8)
    scans = [
        HolderScan(
            umount_id=4,
            path="/mnt",
            begin_ns=5,
            end_ns=6,
            mounted=True,
            dev="0:9",
            holders=(holder,),
            blind=("pid 1",),
            n_processes=3,
        ),
        HolderScan(umount_id=5, path="/b", begin_ns=7, end_ns=8),
    ]
    assert scans_from_arrow(scans_to_arrow(scans)) == scans
    assert scans_to_arrow(scans).column("complete").to_pylist() == [False, False]


@pytest.mark.parametrize(
    ("column", "words"), [("details", "{"), ("details", "[1]"), ("holders", "[1]")]
)
def test_a_table_with_other_json_is_damaged(column, words):
    rows = scans_to_arrow([HolderScan(umount_id=5, path="/b", begin_ns=7, end_ns=8)])
    rows = rows.set_column(rows.schema.get_field_index(column), column, text([words]))
    with pytest.raises(DamagedInputError, match="holders table"):
        scans_from_arrow(rows)


def test_without_descriptors_every_request_is_still_answered(clock, monkeypatch):
    class NoDescriptors:
        def start(self):
            raise OSError(24, "Too many open files")

        def close(self):
            pass

    def scanner(requests):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(worker_module, "asker", NoDescriptors)
    worker = ScanWorker(clock, scanner)
    worker.ask([request(1)])
    (answer,) = wait_for(worker, 1)
    assert answer.blind == ("/proc: Too many open files",)
    worker.close()
