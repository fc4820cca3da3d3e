"""What a stage after the source leaves out is a number, in each tick and in the recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import Stream
from umtrace.ebusy import downstream, evidence_store, latetails
from umtrace.ebusy.downstream import Downstream
from umtrace.ebusy.evidence_store import EvidenceStore
from umtrace.ebusy.latetails import LateTails
from umtrace.holders.worker import MOST_AT_ONCE, ScanWorker
from umtrace.model.evidence import Check, Failure, Walk
from umtrace.model.holders import ScanRequest
from umtrace.model.losses import LossReport
from umtrace.pipeline import RecordingSink, Until, offline, run
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.present.heading import loss_text
from umtrace.recording import Recording
from umtrace.sources.fake import FakeSource


def walk(ts, mnt=1):
    return Walk(ts_ns=ts, tid=7, comm="stat", mnt=mnt, what="put")


def test_scans_that_are_refused_or_skipped():
    worker = ScanWorker(lambda: 10**18, scanner=lambda requests: [])
    stage = EbusyStage(scanner=worker)
    try:
        requests = [
            ScanRequest(umount_id=n, path=f"/{n}", mntns=1, pid=2, mount_id=n, over=False)
            for n in range(MOST_AT_ONCE + 5)
        ]
        worker.ask(requests)
        worker.ask(requests[:3])
    finally:
        worker.close()
    losses = stage.losses()
    assert (losses.scans_refused, losses.scans_skipped) == (5, 3)
    assert losses.lost_anything
    assert "5 scans for holders left out (too many at once)" in loss_text(losses)


def test_evidence_that_no_umount_asked_for(monkeypatch):
    monkeypatch.setattr(evidence_store, "_MOST_EACH", 3)
    monkeypatch.setattr(evidence_store, "_MOST_KEYS", 2)
    store = EvidenceStore(0)
    for ts in range(5):
        store.add("checks", Check(ts_ns=ts, tid=1, mnt=1, site="self"))
    assert store.dropped == 2
    for tid in (2, 3):
        store.add("checks", Check(9, tid, 1, "self"))
    assert store.dropped == 5  # those of task 1


def test_failures_and_tails(monkeypatch):
    monkeypatch.setattr(downstream, "_MOST", 2)
    monkeypatch.setattr(latetails, "_MOST_PUTS", 2)
    joins, tails = Downstream(0), LateTails(0)
    failures = tuple(
        Failure(ts_ns=ts, tid=1, comm="mkfs", syscall="open", dev="8:1") for ts in range(5)
    )
    joins.add_failures(failures)
    assert joins.dropped == 3
    for ts in range(4):
        tails.put(walk(ts, mnt=ts))
    assert tails.forgotten == 2
    for s in range(6, 100, 6):  # no row that is still to come needs one this old
        tails.put(walk(s * 10**9, mnt=s))
    assert tails.forgotten == 2


def test_they_are_in_the_recording(tmp_path):
    source = FakeSource([Stream().umount(7, 5000).batch()], losses=LossReport(ring_events=0))
    run(source, [RecordingSink(tmp_path / "r.umt")], until=Until())
    losses = Recording.open(tmp_path / "r.umt").losses
    known = (losses.scans_refused, losses.scans_skipped, losses.evidence_dropped)
    assert known == (0, 0, 0)
    assert (losses.tails_forgotten, losses.names_forgotten) == (0, 0)


@pytest.mark.parametrize("losses", [LossReport(ring_events=0)])
def test_a_recording_that_did_not_count_them_says_nothing(losses):
    assert "scan" not in loss_text(losses)
    assert not losses.lost_anything


def test_calls_of_rows_that_came_are_no_loss(monkeypatch):
    monkeypatch.setattr(evidence_store, "_MOST_EACH", 2)
    store = EvidenceStore(100)
    for ts in range(10):
        store.add("lazies", walk(ts * 10, mnt=ts))
        if ts:  # the row of the first call is held back for its last put
            store.forget_calls([(7, 100 + ts * 10, 105 + ts * 10)])
    assert (store.dropped, store.holds_calls) == (0, True)
    store.forget_calls([(7, 100, 105)])
    assert not store.holds_calls


def test_last_puts_that_no_row_can_need_are_no_loss(monkeypatch):
    monkeypatch.setattr(evidence_store, "_MOST_KEYS", 2)
    store = EvidenceStore(0)
    for s in range(9):
        store.add("final_puts", walk(s * 11 * 10**9, mnt=s))
    assert store.dropped == 0
    for ns in range(9):
        store.add("final_puts", walk(10**12 + ns, mnt=ns))
    assert store.dropped == 7


@pytest.mark.parametrize("name", ["lab-ebusy", "lab-6.12-rt"])
def test_a_replay_drops_no_evidence_for_being_fast(name):
    recording = Recording.open(Path("recordings") / f"{name}.umt")
    *_, last = offline.replay(recording)
    assert (recording.losses.evidence_dropped, last.losses.evidence_dropped) == (None, 0)
    text = loss_text(recording.losses, recording.meta.tier)
    assert text == "none (not counted: evidence about EBUSY dropped)"
