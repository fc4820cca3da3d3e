"""An EBUSY, and a ring that fills, wake the reader, who would sleep on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from umtrace.model.events import Kind
from umtrace.sources.bpf.source import BpfSource

LONG_S = 20.0  # the test takes as long if nothing rings
BUSY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
mnt = sys.argv[1].encode()
assert libc.mount(b"none", mnt, b"tmpfs", 0, None) == 0
with open(sys.argv[1] + "/x", "w"):
    assert libc.umount2(mnt, 0) == -1 and ctypes.get_errno() == 16
assert libc.umount2(mnt, 0) == 0
"""


@pytest.mark.kernel
def test_an_ebusy_wakes_the_reader(tmp_path):
    source = BpfSource()
    source.open()
    try:
        source.read(0)
        command = ["unshare", "-m", sys.executable, "-c", BUSY, str(tmp_path)]
        with subprocess.Popen(command) as process:
            rang = source._rings._bell.wait(LONG_S)
        events = source.read(0).events
    finally:
        source.close()
    assert process.returncode == 0
    exits = events[(events["tid"] == process.pid) & (events["kind"] == Kind.EXIT)]
    assert exits["ret"].tolist() == [-16, 0]
    assert rang


@pytest.mark.kernel
def test_a_ring_that_fills_wakes_the_reader():
    source = BpfSource(event_ring_bytes=64 << 10)  # an eighth: 113 events
    source.open()
    try:
        source.read(0)
        command = [sys.executable, "-m", "umtrace", "exercise", "--sync", "200"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            rang = source._rings._bell.wait(LONG_S)
        source.read(0)
    finally:
        source.close()
    assert process.returncode == 0
    assert rang
    assert source.fill() is None


@pytest.mark.kernel
def test_it_says_how_full_a_read_found_its_ring():
    source = BpfSource(event_ring_bytes=64 << 10)
    source.open()
    try:
        source.read(0)
        command = [sys.executable, "-m", "umtrace", "exercise", "--sync", "100"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        events = len(source.read(0).events)
        fill = source.fill()
        source.read(0)
        after = source.fill()
    finally:
        source.close()
    assert fill == pytest.approx(events * 72 / (64 << 10), abs=0.05)
    assert 0.2 < fill < 1
    assert after < 0.05
