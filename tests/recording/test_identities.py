"""A recording tells mounts apart without saying where the kernel keeps them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.scripts import TOOLS
from umtrace import pipeline
from umtrace.model.events import EVENT_DTYPE, EventBatch
from umtrace.model.identity import MountIdentities
from umtrace.pipeline.offline import repair
from umtrace.recording import Recording
from umtrace.recording.meta import encode
from umtrace.sources.replay import ReplaySource

BUNDLED = sorted(Path("recordings").glob("*.umt"))
_KERNEL = 0xFFFF_8880_0000_0000  # the direct map of x86-64


def mounts(path):
    batches = [batch.events["mnt"] for batch in Recording.open(path).event_batches()]
    return np.concatenate(batches) if batches else np.empty(0, "<u8")


def addresses(numbers):
    """Return how many look like addresses of a kernel: random numbers do not, 1 in 65,536."""
    return int((numbers >> np.uint64(47) == np.uint64(0x1FFFF)).sum())


class WithAddresses(ReplaySource):
    """The events of a bundled recording as a kernel sends them."""

    def read(self, timeout_s):
        batch = super().read(timeout_s)
        if batch is None:
            return None
        events = batch.events.copy()
        known = events["mnt"] != 0
        events["mnt"][known] = np.uint64(_KERNEL) | (events["mnt"][known] % np.uint64(1 << 32))
        return EventBatch(events, batch.names)


def recorded(path):
    """Record them; returns the rows, windows and mounts as recorded."""
    source = WithAddresses(Recording.open("recordings/lab-ebusy.umt"))
    source.open()
    pipeline.record(path, source, until=pipeline.Until())
    return Recording.open(path)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_no_bundled_recording_has_addresses(path):
    assert addresses(mounts(path)) == 0


def test_what_is_recorded_has_no_addresses(tmp_path):
    recording = recorded(tmp_path / "r")
    numbers = mounts(tmp_path / "r")
    before = mounts("recordings/lab-ebusy.umt")
    assert addresses(numbers) == 0
    assert np.count_nonzero(numbers) == np.count_nonzero(before) > 1000
    assert len(np.unique(numbers)) == len(np.unique(before))
    pairs = np.unique(np.stack([numbers, before]), axis=1)
    assert pairs.shape[1] == len(np.unique(before))  # one number for each mount, and back
    assert recording.umounts().num_rows > 100


def test_the_rows_and_windows_are_those_of_the_addresses(tmp_path):
    """And a repair, which has the numbers alone, works out the same rows."""
    recording = recorded(tmp_path / "r")
    rows = recording.umounts().to_pylist()
    meta = replace(recording.meta, state="open", end_ns=None)
    (tmp_path / "r/meta.json").write_bytes(encode(meta))
    assert repair(tmp_path / "r").rows_rebuilt == len(rows)
    assert Recording.open(tmp_path / "r").umounts().to_pylist() == rows


def test_two_recordings_number_differently(tmp_path):
    recorded(tmp_path / "a")
    recorded(tmp_path / "b")
    a, b = (set(mounts(tmp_path / name).tolist()) - {0} for name in "ab")
    assert a
    assert not a & b


def test_the_same_mount_is_the_same_in_every_batch():
    identities = MountIdentities()
    events = np.zeros(5, EVENT_DTYPE)
    events["mnt"] = [_KERNEL, 0, _KERNEL + 64, _KERNEL, 0]
    first, second = (identities.hide(EventBatch(events)).events["mnt"] for _ in range(2))
    assert first.tolist() == second.tolist()
    assert first[0] == first[3] != first[2]
    assert first[1] == first[4] == 0
    assert events["mnt"][0] == _KERNEL  # the reader goes on with what the kernel said


def test_the_script_for_older_recordings(tmp_path):
    shutil.copytree("recordings/lab-6.12.umt", tmp_path / "r")
    before, rows = mounts(tmp_path / "r"), Recording.open(tmp_path / "r").umounts()
    words = [sys.executable, str(TOOLS / "hide-addresses"), str(tmp_path / "r")]
    subprocess.run(words, check=True, capture_output=True)
    after = mounts(tmp_path / "r")
    assert len(np.unique(after)) == len(np.unique(before)) > 100
    assert not np.array_equal(before, after)
    recording = Recording.open(tmp_path / "r")
    assert recording.umounts().equals(rows)
    assert not recording.problems
