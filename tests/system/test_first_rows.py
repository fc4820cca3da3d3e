"""A recording that starts among umounts: what ends before all probes are there is no row."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.system.umtrace_command import losses, start_recording, umtrace

pytestmark = pytest.mark.kernel

#: umounts that fail at once, without a pause
BUSY = """
import ctypes
umount2 = ctypes.CDLL(None).umount2
while True:
    umount2(b"/proc/nothing", 0)
"""


def test_at_most_the_umount_in_flight_has_no_beginning(tmp_path):
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        process = start_recording(tmp_path / "r.umt", "--tier", "tracepoint")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        busy.kill()
        busy.wait()
    done = umtrace("export", tmp_path / "r.umt", "--to", "jsonl")
    rows = [row for row in map(json.loads, done.stdout.splitlines()) if row["tid"] == busy.pid]
    assert len(rows) > 1
    without = [row for row in rows if row["incomplete_why"] == "no-enter"]
    if not losses(tmp_path / "r.umt")["ring_events"]:
        assert len(without) <= 1
