"""An EBUSY wakes the reader, who would sleep on."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from umtrace.records.events import Kind
from umtrace.sources.bpf import BpfSource

LONG_S = 20.0  # the test would take as long if nothing rang
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
            begin = time.monotonic()
            found = []
            while -16 not in found and time.monotonic() - begin < LONG_S:
                events = source.read(LONG_S).events
                mine = events["tid"] == process.pid
                found += events["ret"][mine & (events["kind"] == Kind.EXIT)].tolist()
        assert process.returncode == 0
        assert process.returncode == 0
    finally:
        source.close()
    assert -16 in found
    assert time.monotonic() - begin < LONG_S / 2
